"""The units of a value head: returns at mean 0 and std 1 over about the last ten updates (van Hasselt et al. 2016)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.rl.normalizers import mean_and_std, sums
from metarl.types import Params


class ReturnUnits(NamedTuple):
    """Mean and deviation of the returns, in whose units a value head predicts (van Hasselt et al. 2016)."""

    moments: Tensor
    """Exponential means of [1, G, G^2] over the returns G, (3,) float64; all 0 before the first update."""

    @staticmethod
    def unknown() -> ReturnUnits:
        return ReturnUnits(torch.zeros(3, dtype=torch.float64))

    @property
    def known(self) -> bool:
        return bool(self.moments.any())

    def updated(self, returns: Tensor) -> ReturnUnits:
        """With the returns (n,) of one more update."""
        return ReturnUnits(0.9 * self.moments + 0.1 * sums(returns) / len(returns))

    def mean_and_std(self) -> tuple[float, float]:
        mean, std = mean_and_std(self.moments, smallest_std=1e-4)
        return float(mean), float(std)

    def normalise(self, returns: Tensor) -> Tensor:
        mean, std = self.mean_and_std()
        return (returns - mean) / std

    def restore(self, values: Tensor) -> Tensor:
        """What the head says, in units of the rewards."""
        mean, std = self.mean_and_std()
        return values * std + mean

    def head_for(self, new: ReturnUnits, theta: Params) -> Params:
        """theta's linear head `value.w0`, `value.b0` made to predict the same returns in the new units."""
        (old_mean, old_std), (mean, std) = self.mean_and_std(), new.mean_and_std()
        return {
            "value.w0": theta["value.w0"] * (old_std / std),
            "value.b0": (theta["value.b0"] * old_std + old_mean - mean) / std,
        }
