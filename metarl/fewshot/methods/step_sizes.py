"""How far an inner step goes: one number, or learned numbers held in theta (Meta-SGD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from metarl.types import Params

PREFIX = "step_size_"


class StepSizes(Protocol):
    def init(self, weights: Params) -> Params:
        """What theta holds beside the weights; empty where step sizes are not learned."""
        ...

    def of(self, theta: Params) -> float | Params:
        """One size, or one for each entry of some weights; the others then stay as they are."""
        ...


@dataclass(frozen=True)
class FixedStepSize:
    inner_lr: float

    def init(self, weights: Params) -> Params:
        return {}

    def of(self, theta: Params) -> float:
        return self.inner_lr


@dataclass(frozen=True)
class LearnedStepSizes:
    """One for each parameter, learned with it (Li et al. 2017, algorithm 1); all start from `inner_lr`."""

    inner_lr: float

    def init(self, weights: Params) -> Params:
        return {PREFIX + name: torch.full_like(p, self.inner_lr) for name, p in weights.items()}

    def of(self, theta: Params) -> Params:
        return {name.removeprefix(PREFIX): p for name, p in theta.items() if name.startswith(PREFIX)}
