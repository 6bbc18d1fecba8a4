"""Operations on parameters give new dicts and leave their inputs alone."""

import pytest
import torch

from metarl.learn.params import detach, flatten, is_finite, repeat, stack, trainable, unflatten, unstack


@pytest.fixture
def params():
    return {"w": torch.arange(6.0).view(2, 3), "b": torch.tensor(7.0)}


def test_flatten_and_unflatten_are_inverse(params):
    vector = flatten(params)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7]
    back = unflatten(vector, params)
    assert list(back) == ["w", "b"] and all(torch.equal(back[n], params[n]) for n in params)


def test_stack_and_unstack_are_inverse(params):
    doubled = {n: 2 * p for n, p in params.items()}
    stacked = stack([params, doubled])
    assert stacked["w"].shape == (2, 2, 3) and stacked["b"].tolist() == [7.0, 14.0]
    first, second = unstack(stacked)
    assert torch.equal(first["w"], params["w"]) and torch.equal(second["w"], doubled["w"])


def test_repeat_gives_each_task_the_same(params):
    repeated = repeat(params, 3)
    assert repeated["w"].shape == (3, 2, 3) and (repeated["w"] == params["w"]).all()


def test_trainable_is_a_leaf_of_its_own(params):
    leaves = trainable(params)
    assert all(p.requires_grad and p.is_leaf for p in leaves.values())
    assert not any(p.requires_grad for p in params.values())
    (leaves["w"] ** 2).sum().backward()
    assert params["w"].grad is None
    assert not detach(leaves)["w"].requires_grad


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_is_finite_finds_one_bad_value(params, bad):
    assert is_finite(params)
    assert not is_finite(params | {"b": torch.tensor(bad)})
