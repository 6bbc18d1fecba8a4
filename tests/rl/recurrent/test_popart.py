"""The value head's units: what it predicts does not change when they do."""

from __future__ import annotations

import pytest
import torch

from metarl.rl.recurrent.popart import ReturnUnits


def test_nothing_known_leaves_returns_as_they_are() -> None:
    units = ReturnUnits.unknown()
    assert not units.known and units.mean_and_std() == (0.0, 1.0)
    returns = torch.tensor([3.0, -4.0])
    torch.testing.assert_close(units.normalise(returns), returns)


def test_mean_and_std_are_exponential_means_over_updates() -> None:
    units = ReturnUnits.unknown().updated(torch.tensor([1.0, 3.0])).updated(torch.tensor([10.0]))
    # weights 0.09 and 0.1 of E[G] = 2, E[G^2] = 5 and of 10, 100
    mean = (0.09 * 2 + 0.1 * 10) / 0.19
    std = ((0.09 * 5 + 0.1 * 100) / 0.19 - mean**2) ** 0.5
    assert units.known and units.mean_and_std() == pytest.approx((mean, std))


def test_restore_undoes_normalise() -> None:
    units = ReturnUnits.unknown().updated(torch.tensor([5.0, 7.0, 12.0]))
    returns = torch.tensor([-1.0, 6.5, 40.0])
    torch.testing.assert_close(units.restore(units.normalise(returns)), returns)


def test_one_return_throughout_is_not_blown_up() -> None:
    units = ReturnUnits.unknown().updated(torch.full((4,), 2.0))
    assert units.normalise(torch.tensor([2.0])).abs() < 1e-3


def test_the_head_predicts_the_same_returns_in_new_units() -> None:
    generator = torch.Generator().manual_seed(0)
    old = ReturnUnits.unknown().updated(torch.tensor([0.0, 10.0]))
    new = old.updated(torch.tensor([500.0, -100.0]))
    theta = {"value.w0": torch.randn(4, 1, generator=generator), "value.b0": torch.randn(1, generator=generator)}
    outputs = torch.randn(6, 4, generator=generator)

    def returns(head: dict[str, torch.Tensor], units: ReturnUnits) -> torch.Tensor:
        return units.restore(outputs @ head["value.w0"] + head["value.b0"])

    head = old.head_for(new, theta)
    torch.testing.assert_close(returns(head, new), returns(theta, old), rtol=1e-5, atol=1e-4)
    assert not torch.allclose(head["value.w0"], theta["value.w0"])
