"""The net of actor and critics, against torch's modules."""

import torch
from torch import nn

from metarl.rl.off_policy.norm_mlp import init_norm_mlp, norm_mlp, own_head

SIZES = (5, 8, 6, 3)


def filled(params, seed):
    """Gains, shifts and biases at random as well, so that each matters."""
    rng = torch.Generator().manual_seed(seed)
    return {name: p + 0.3 * torch.randn(p.shape, generator=rng) for name, p in params.items()}


def module_of(params):
    layers = []
    for i, (n_in, n_out) in enumerate([(5, 8), (8, 6), (6, 3)]):
        linear = nn.Linear(n_in, n_out)
        linear.weight.data, linear.bias.data = params[f"w{i}"].T.clone(), params[f"b{i}"].clone()
        layers.append(linear)
        if i < 2:
            norm = nn.LayerNorm(n_out)
            norm.weight.data, norm.bias.data = params[f"gain{i}"].clone(), params[f"shift{i}"].clone()
            layers += [norm, nn.ReLU()]
    return nn.Sequential(*layers)


def test_a_net_is_linear_layernorm_relu():
    params = filled(init_norm_mlp(SIZES, torch.Generator().manual_seed(0)), 1)
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(norm_mlp(params, x, 2), module_of(params)(x))


def test_without_layernorm_it_is_linear_relu():
    params = filled(init_norm_mlp(SIZES, torch.Generator().manual_seed(0), layer_norm=False), 1)
    assert set(params) == {"w0", "b0", "w1", "b1", "w2", "b2"}
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(2))
    hidden = torch.relu(torch.relu(x @ params["w0"] + params["b0"]) @ params["w1"] + params["b1"])
    torch.testing.assert_close(norm_mlp(params, x, 2), hidden @ params["w2"] + params["b2"])


def test_an_ensemble_is_its_nets_one_by_one():
    params = filled(init_norm_mlp(SIZES, torch.Generator().manual_seed(0), ensemble=3), 1)
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(2))
    together = norm_mlp(params, x, 2)
    assert together.shape == (3, 10, 3)
    for i in range(3):
        torch.testing.assert_close(together[i], norm_mlp({name: p[i] for name, p in params.items()}, x, 2))
        torch.testing.assert_close(together[i], norm_mlp(params, x.expand(3, 10, 5), 2)[i])


def test_first_weights_are_within_their_bound_and_differ_between_nets():
    params = init_norm_mlp(SIZES, torch.Generator().manual_seed(0), ensemble=2, last_std=0.01)
    assert params["w0"].abs().max() <= 5**-0.5 and params["w0"].std() > 0.2
    assert not torch.equal(params["w0"][0], params["w0"][1])
    assert params["w2"].abs().max() < 0.06


def test_a_row_has_the_outputs_of_its_own_tasks_layer():
    """Three tasks, two outputs each, of one net and of an ensemble of four, against a loop."""
    rng = torch.Generator().manual_seed(0)
    task = torch.tensor([2, 0, 1, 1, 2])
    obs = torch.cat([torch.randn(5, 4, generator=rng), torch.eye(3)[task]], -1)
    for lead in ((), (4,)):
        outputs = torch.randn(*lead, 5, 3 * 2, generator=rng)
        own = own_head(outputs, obs, 3)
        assert own.shape == (*lead, 5, 2)
        for row, which in enumerate(task.tolist()):
            assert torch.equal(own[..., row, :], outputs[..., row, 2 * which : 2 * which + 2])
        assert own_head(outputs, obs, 0) is outputs
