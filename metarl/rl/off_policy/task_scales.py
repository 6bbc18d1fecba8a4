"""Units in which one net learns many tasks: observations at mean 0 and std 1, rewards by each task's own returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metarl.rl.normalizers import mean_and_std, sums
from metarl.rl.returns import discounted_returns
from metarl.types import Episodes, TaskData

SMALLEST_STD = 1e-2
"""An object that rests is not scaled up to the size of the others, rounding and all."""


class ObsScales:
    """Mean and std of each entry over all steps so far; an entry that was only ever 0 or 1, as of an id, stays."""

    def __init__(self, obs_dim: int) -> None:
        self.moments = torch.zeros(3, obs_dim, dtype=torch.float64)  # sums of [1, x, x^2]
        self.is_flag = torch.ones(obs_dim, dtype=torch.bool)

    def update(self, batch: Sequence[TaskData]) -> None:
        obs = torch.cat([data.query.obs[data.query.mask] for data in batch])
        self.moments = self.moments + sums(obs)
        self.is_flag &= ((obs == 0) | (obs == 1)).all(0)

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """(O,) each, float32."""
        mean, std = mean_and_std(self.moments, smallest_std=SMALLEST_STD)
        return mean.masked_fill(self.is_flag, 0).float(), std.masked_fill(self.is_flag, 1).float()

    def state_dict(self) -> dict[str, Any]:
        return {"moments": self.moments, "is_flag": self.is_flag}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.moments, self.is_flag = state["moments"], state["is_flag"].clone()


def largest_reward(episodes: Episodes, *, gamma: float) -> float:
    """The largest |discounted return to go| of a task's steps, times 1 - gamma: a reward that, given for ever, is worth
    as much. Divided by it, a task's returns lie within 1 / (1 - gamma) whatever its rewards (Nauman et al. 2025)."""
    returns = discounted_returns(episodes.rewards, episodes.mask, gamma=gamma)
    return float(returns.abs().max()) * (1 - gamma)
