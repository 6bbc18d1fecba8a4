"""How far an inner step goes: one number (MAML), of some weights (ANIL), or numbers learned in theta (Meta-SGD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from metarl.types import Params

PREFIX = "step_size_"
"""Of the names of learned step sizes in theta."""


class StepSizes(Protocol):
    """theta may hold them."""

    def init(self, weights: Params) -> Params:
        """What theta holds beside the weights; empty where step sizes are not learned."""
        ...

    def at(self, theta: Params, step: int) -> float | Params:
        """Of inner step `step`, counted from 0; of some weights only, where the others are to stay as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class FixedStepSizes:
    """inner_lr * decay^step, for all weights or for those in `only`."""

    inner_lr: float
    decay: float = 1.0
    only: tuple[str, ...] = ()

    def init(self, weights: Params) -> Params:
        return {}

    def at(self, theta: Params, step: int) -> float | Params:
        size = self.inner_lr * self.decay**step
        return {name: torch.full_like(theta[name], size) for name in self.only} if self.only else size


@dataclass(frozen=True, kw_only=True)
class LearnedStepSizes:
    """One for each weight, learned with it (Li et al. 2017, algorithm 1).

    theta holds them in the weight's shape (...), for all steps alike, or as (K, ...), the last row being that of step K
    and of all later ones (Antoniou et al. 2019, who learn one a layer and step).
    """

    inner_lr: float
    """Where all of them start from, times decay^step."""
    decay: float = 1.0
    num_steps: int | None = None
    """K."""

    def init(self, weights: Params) -> Params:
        return {PREFIX + name: self._start(p) for name, p in weights.items()}

    def _start(self, weight: torch.Tensor) -> torch.Tensor:
        if self.num_steps is None:
            return torch.full_like(weight, self.inner_lr)
        sizes = [self.inner_lr * self.decay**step for step in range(self.num_steps)]
        return torch.stack([torch.full_like(weight, size) for size in sizes])

    def at(self, theta: Params, step: int) -> Params:
        sizes = {name.removeprefix(PREFIX): p for name, p in theta.items() if name.startswith(PREFIX)}
        if self.num_steps is None:
            return sizes
        row = min(step, self.num_steps - 1)
        return {name: p[row] for name, p in sizes.items()}
