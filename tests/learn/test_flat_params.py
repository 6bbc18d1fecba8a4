"""Parameters in one vector: Adam as torch's own on the tensors one by one, and a state that goes on alike."""

import pytest
import torch

from metarl.errors import UserError
from metarl.learn.flat_params import FlatParams

CPU = torch.device("cpu")


def first():
    rng = torch.Generator().manual_seed(0)
    return {"w": torch.randn(3, 2, generator=rng), "b": torch.randn(2, generator=rng)}


def loss_of(params):
    x = torch.arange(6.0).view(2, 3)
    return (torch.tanh(x @ params["w"] + params["b"]) - 0.3).square().sum()


def test_steps_are_those_of_torchs_adam_on_each_tensor():
    flat = FlatParams(first(), lr=0.01, device=CPU)
    leaves = {name: p.clone().requires_grad_() for name, p in first().items()}
    adam = torch.optim.Adam(leaves.values(), lr=0.01)
    for _ in range(20):
        flat.step(loss_of(flat.views()))
        adam.zero_grad()
        loss_of(leaves).backward()
        adam.step()
    for name, p in flat.copy().items():
        torch.testing.assert_close(p, leaves[name].detach())


def test_a_copy_stays_as_it_is():
    flat = FlatParams(first(), lr=0.1, device=CPU)
    copy = flat.copy()
    flat.step(loss_of(flat.views()))
    for name, p in first().items():
        assert torch.equal(copy[name], p) and not torch.equal(flat.copy()[name], p)


def test_bfloat16_views_give_float32_gradients():
    flat = FlatParams(first(), lr=0.1, device=CPU)
    views = flat.views(torch.bfloat16)
    assert views["w"].dtype == torch.bfloat16 and views["w"].shape == (3, 2)
    flat.step(views["w"].float().square().sum())
    assert flat.vector.dtype == torch.float32 and not torch.equal(flat.copy()["w"], first()["w"])


@pytest.mark.parametrize("steps_before", [0, 5])
def test_a_state_goes_on_alike(steps_before):
    flat, other = FlatParams(first(), lr=0.01, device=CPU), FlatParams(first(), lr=0.01, device=CPU)
    for _ in range(steps_before):
        flat.step(loss_of(flat.views()))
    other.step(loss_of(other.views()))  # has moments of its own, which must go
    params, state = flat.copy(), flat.state_dict()
    flat.step(loss_of(flat.views()))
    other.load(params)
    other.load_state_dict(state)
    other.step(loss_of(other.views()))
    assert torch.equal(other.vector, flat.vector)
    assert all(torch.equal(params[name], p) for name, p in FlatParams(params, lr=1, device=CPU).copy().items())


def test_moments_of_another_size_are_refused():
    flat = FlatParams(first(), lr=0.01, device=CPU)
    with pytest.raises(UserError, match="first is"):
        flat.load_state_dict({"num_steps": 1, "first": torch.zeros(3), "second": torch.zeros(8)})
