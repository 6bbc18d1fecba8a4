"""MAML with a TRPO outer step (Finn, Abbeel and Levine 2017, algorithm 3; Schulman et al. 2015).

1. Each task's support episodes give policy-gradient steps from theta to phi, kept differentiable in theta.
2. The meta-loss is the surrogate of the query episodes, collected with phi, averaged over tasks.
3. One natural-gradient step on theta, within a trust region on the KL of the *adapted* policies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.learn.gradient_learner import GradientLearner
from metarl.learner import CPU
from metarl.rl.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.rl.fast_weights import FastWeights, policy_learner
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class MAMLConfig(TrustRegionConfig):
    """Settings of MAML: those of the trust region and the inner loop, and the order of its gradient."""

    first_order: bool = False
    """Drop the derivative of the inner gradient (FOMAML)."""


def maml(
    spec: EnvSpec, config: MAMLConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent by MAML: inner policy gradient steps, and a trust region step on the query episodes through them."""
    return policy_learner(
        spec,
        config,
        lambda problem: AdaptedTrustRegion(problem, config),
        first_order=config.first_order,
        generator=generator,
        device=device,
    )
