"""Reptile (Nichol, Achiam and Schulman 2018) with policy-gradient inner steps: theta moves towards the mean phi.

A task's phi is what its support steps lead to and one step more, on its query episodes: no episode goes to
waste, and with K support steps Reptile takes K + 1. With a single step in all it would be joint training,
which learns no adaptation (their section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch

from metarl.learn import params as P
from metarl.learn.gradient_learner import GradientLearner, MetaBatch
from metarl.learn.meta_optimizer import Interpolation
from metarl.learner import CPU
from metarl.rl.fast_weights import FastWeights, FastWeightsConfig, PolicyProblem, policy_learner
from metarl.types import EnvSpec, Metrics, Params
from metarl.validate import Bounds, Search


@dataclass(frozen=True, kw_only=True)
class ReptileConfig(FastWeightsConfig):
    """Settings of Reptile: the inner loop's, and how far theta moves."""

    meta_lr: Annotated[float, Bounds(above=0, most=1), Search(0.05, 1.0)] = 0.5
    """The share of the way from theta to the mean phi that a meta-step goes."""


class TowardsMeanPhi:
    """An OuterStep by `Interpolation`; it needs no gradient of theta."""

    def __init__(self, problem: PolicyProblem, config: ReptileConfig) -> None:
        self._inner_loop = problem.inner_loop
        self._interpolation = Interpolation(meta_lr=config.meta_lr)

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        with torch.no_grad():
            phis = self._inner_loop.step(theta, batch.old_phis[-1], batch.query, step=len(batch.supports))
        new, metrics = self._interpolation.step(phis, theta)
        if not P.is_finite(new):
            return theta, metrics | {"meta_step_accepted": 0.0}
        return new, metrics | {"meta_step_accepted": 1.0}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Interpolation keeps nothing between steps."""


def reptile(
    spec: EnvSpec, config: ReptileConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent whose theta moves towards the mean of the adapted parameters."""
    return policy_learner(
        spec,
        config,
        lambda problem: TowardsMeanPhi(problem, config),
        first_order=True,
        generator=generator,
        device=device,
    )
