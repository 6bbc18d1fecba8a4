"""Memories: the step against torch's fused sequence, and against the formulas by hand."""

import math

import pytest
import torch

from metarl.rl.recurrent.memory import MEMORY_KINDS, Attention, make_memory

T, L, D, H = 40, 3, 5, 8  # steps, lanes, input and output size


def random_memory(kind, dtype, *, scale=1.0):
    memory = make_memory(kind, input_dim=D, hidden_dim=H, window=7)
    rng = torch.Generator().manual_seed(0)
    params = {name: (p + scale * torch.randn(p.shape, generator=rng)).to(dtype) for name, p in memory.init(rng).items()}
    x = torch.randn(T, L, D, generator=rng).to(dtype)
    state = torch.randn(L, memory.state_dim, generator=rng).to(dtype)
    if kind == "attention":  # its state is inputs and whether they exist: of four of the last seven
        state = state.view(L, 7, D + 1)
        state[..., -1] = (torch.arange(7) >= 3).to(dtype)
        state = state.flatten(1)
    return memory, params, x, state


def by_steps(memory, params, x, state):
    outputs = []
    for row in x:
        output, state = memory.step(params, row, state)
        outputs.append(output)
    return torch.stack(outputs), state


@pytest.mark.parametrize("kind", MEMORY_KINDS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_steps_equal_the_fused_sequence(kind, dtype, tolerance):
    memory, params, x, state = random_memory(kind, dtype, scale=0.1)
    for fused, stepped in zip(memory.sequence(params, x, state), by_steps(memory, params, x, state), strict=True):
        torch.testing.assert_close(stepped, fused, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", MEMORY_KINDS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_acting_equals_the_steps_and_leaves_what_was_carried(kind, dtype, tolerance):
    """From a state of four inputs of the window's seven, far beyond the window; and from its middle."""
    memory, params, x, state = random_memory(kind, dtype, scale=0.1)
    outputs, _ = by_steps(memory, params, x, state)
    carried = memory.for_acting(params, state)
    for t, row in enumerate(x):
        output, after = memory.act(params, row, carried)
        again, _ = memory.act(params, row, carried)
        torch.testing.assert_close(output, outputs[t], atol=tolerance, rtol=0)
        assert torch.equal(again, output)
        carried = after
    _, middle = by_steps(memory, params, x[:20], state)
    output, _ = memory.act(params, x[20], memory.for_acting(params, middle))
    torch.testing.assert_close(output, outputs[20], atol=tolerance, rtol=0)


def test_an_attention_embeds_one_input_a_step_when_acting(monkeypatch):
    memory, params, x, state = random_memory("attention", torch.float32)
    carried = memory.for_acting(params, state)
    embedded, heads = [], Attention._heads
    monkeypatch.setattr(Attention, "_heads", lambda self, p, x: embedded.append(x.shape[1]) or heads(self, p, x))
    for row in x[:5]:
        _, carried = memory.act(params, row, carried)
    assert embedded == [1] * 5


@pytest.mark.parametrize("kind", MEMORY_KINDS)
def test_gradients_are_the_same_both_ways(kind):
    """Of the parameters, the inputs and the start state."""
    memory, params, x, state = random_memory(kind, torch.float64)
    grads = []
    for run in (memory.sequence, lambda *args: by_steps(memory, *args)):
        leaves = [p.clone().requires_grad_() for p in (*params.values(), x, state)]
        outputs, last = run(dict(zip(params, leaves[:-2], strict=True)), *leaves[-2:])
        grads.append(torch.autograd.grad(outputs.square().sum() + last.sum(), leaves))
    for fused, stepped in zip(*grads, strict=True):
        assert fused.abs().max() > 1e-3
        torch.testing.assert_close(stepped, fused, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("kind", MEMORY_KINDS)
def test_a_sequence_in_two_pieces_is_the_whole(kind):
    memory, params, x, state = random_memory(kind, torch.float64)
    whole, last = memory.sequence(params, x, state)
    first, between = memory.sequence(params, x[:13], state)
    second, end = memory.sequence(params, x[13:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


@pytest.mark.parametrize("kind", MEMORY_KINDS)
def test_lanes_do_not_see_one_another(kind):
    memory, params, x, state = random_memory(kind, torch.float64)
    whole, _ = memory.sequence(params, x, state)
    alone, _ = memory.sequence(params, x[:, 1:2], state[1:2])
    torch.testing.assert_close(alone, whole[:, 1:2])


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def scalars(num_gates):
    """One input, one unit: gate k has input weight 0.1 (k + 1), recurrent 0.2 (k + 1), biases 0.3 and 0.4."""
    ks = torch.arange(1, num_gates + 1).double()
    return {
        "w_in": 0.1 * ks.unsqueeze(1),
        "w_rec": 0.2 * ks.unsqueeze(1),
        "b_in": torch.full((num_gates,), 0.3).double(),
        "b_rec": torch.full((num_gates,), 0.4).double(),
    }


def test_gru_by_hand():
    """r = s(.1x+.2h+.7), z = s(.2x+.4h+.7), n = tanh(.3x+.3 + r(.6h+.4)), h' = (1-z) n + z h at x=2, h=0.5."""
    r, z = sigmoid(0.2 + 0.1 + 0.7), sigmoid(0.4 + 0.2 + 0.7)
    n = math.tanh(0.6 + 0.3 + r * (0.3 + 0.4))
    one = torch.tensor([[2.0]]).double(), torch.tensor([[0.5]]).double()
    output, state = make_memory("gru", input_dim=1, hidden_dim=1, window=1).step(scalars(3), *one)
    assert output.item() == state.item() == pytest.approx((1 - z) * n + z * 0.5)


def test_lstm_by_hand():
    """Gates in the order i, f, g, o at x=2, h=0.5, c=-1."""
    i, f, g, o = (0.1 * k * 2 + 0.2 * k * 0.5 + 0.7 for k in (1, 2, 3, 4))
    c = sigmoid(f) * -1 + sigmoid(i) * math.tanh(g)
    h = sigmoid(o) * math.tanh(c)
    state = torch.tensor([[0.5, -1.0]]).double()
    output, state = make_memory("lstm", input_dim=1, hidden_dim=1, window=1).step(
        scalars(4), torch.tensor([[2.0]]).double(), state
    )
    assert output.item() == pytest.approx(h) and state.tolist() == [pytest.approx([h, c])]


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_recurrent_weights_start_orthogonal(kind):
    params = make_memory(kind, input_dim=D, hidden_dim=H, window=7).init(torch.Generator().manual_seed(0))
    for gate in params["w_rec"].split(H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H), atol=1e-5, rtol=0)


def test_attention_by_hand():
    """One lane, two heads of one unit, window 2: a softmax over the present and the previous input."""
    memory = Attention(1, 2, window=2, num_heads=2)
    rng = torch.Generator().manual_seed(0)
    params = {name: torch.randn(p.shape, generator=rng).double() for name, p in memory.init(rng).items()}
    xs = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    outputs, state = memory.sequence(params, xs.view(3, 1, 1), torch.zeros(1, 4).double())
    assert state.tolist() == [[-0.7, 1.0, 1.1, 1.0]]
    embedded = torch.tanh(xs.unsqueeze(1) * params["w_in"] + params["b_in"])
    q, k, v = (embedded @ params["w_qkv"]).chunk(3, dim=1)
    for t in range(3):
        seen = [t] if t == 0 else [t, t - 1]
        attended = []
        for head in range(2):
            scores = torch.stack([q[t, head] * k[j, head] + params["distance_bias"][head, t - j] for j in seen])
            attended.append((scores.softmax(0) * v[seen, head]).sum())
        hidden = embedded[t] + torch.stack(attended) @ params["w_heads"]
        hidden = hidden + torch.tanh(hidden @ params["w_up"] + params["b_up"]) @ params["w_down"]
        torch.testing.assert_close(outputs[t, 0], hidden)


def test_attention_sees_its_window_and_no_further():
    memory, params, x, state = random_memory("attention", torch.float64)
    before, _ = memory.sequence(params, x, state)
    changed = x.clone()
    changed[10] += 1
    after, _ = memory.sequence(params, changed, state)
    differs = (after - before).abs().amax((1, 2)) > 1e-9
    assert differs.nonzero().squeeze(1).tolist() == list(range(10, 17))


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_the_fused_kernel_is_called_as_cudnn_can_learn_with(kind, monkeypatch):
    """cuDNN goes backward only in training mode, and refuses a start that is a slice of a larger state."""
    calls, kernel = [], getattr(torch, kind)

    def spy(x, start, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first):
        calls.append((start, train))
        return kernel(x, start, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first)

    monkeypatch.setattr(torch, kind, spy)
    memory, params, x, state = random_memory(kind, torch.float32)
    wider = torch.cat([state, torch.zeros(L, 4)], dim=-1)
    memory.sequence(params, x, wider[:, : memory.state_dim])
    ((start, train),) = calls
    assert train and all(part.is_contiguous() for part in (start if kind == "lstm" else [start]))
