"""MAML whose outer step is PPO: Adam on the clipped surrogate of the adapted policies, several times a meta-batch.

An agent of your own in one file. It is put together from the parts that MAML has too; only the outer step is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metarl.learn.gradient_learner import GradientLearner, MetaBatch
from metarl.learn.meta_optimizer import Adam
from metarl.learner import CPU
from metarl.rl.fast_weights import FastWeights, FastWeightsConfig, PolicyProblem, policy_learner
from metarl.rl.losses import clipped_surrogate_loss
from metarl.types import EnvSpec, Metrics, Params


@dataclass(frozen=True, kw_only=True)
class MAMLPPOConfig(FastWeightsConfig):
    lr: float = 3e-3
    clip: float = 0.2
    epochs: int = 5


class ClippedOuterStep:
    def __init__(self, problem: PolicyProblem, config: MAMLPPOConfig) -> None:
        self.problem, self.config, self._adam = problem, config, Adam(lr=config.lr)

    def loss(self, batch: MetaBatch, theta: Params) -> Tensor:
        phis = self.problem.inner_loop.path(theta, batch.supports)[-1]
        query = batch.query
        log_probs = self.problem.policy.dist(phis, query["obs"]).log_prob(query["actions"])
        parts = log_probs, query["log_probs"], query["advantages"], query["mask"]
        return clipped_surrogate_loss(*parts, clip=self.config.clip)

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        for _ in range(self.config.epochs):
            theta, metrics = self._adam.step(lambda candidate: self.loss(batch, candidate), theta)
        return theta, metrics

    def state_dict(self) -> dict[str, Any]:
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._adam.load_state_dict(state)


def maml_ppo(
    spec: EnvSpec, config: MAMLPPOConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    return policy_learner(
        spec, config, lambda problem: ClippedOuterStep(problem, config), generator=generator, device=device
    )
