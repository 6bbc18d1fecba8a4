"""First-order MAML (Finn, Abbeel and Levine 2017, section 5.2): MAML without the derivative of the inner gradient.

dphi/dtheta is taken as the identity, which saves the second derivatives.
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
class FOMAMLConfig(TrustRegionConfig):
    """Settings of first-order MAML: those of the trust region and the inner loop."""


def fomaml(
    spec: EnvSpec, config: FOMAMLConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent by MAML without the derivative of the inner gradient."""
    return policy_learner(
        spec,
        config,
        lambda problem: AdaptedTrustRegion(problem, config),
        first_order=True,
        generator=generator,
        device=device,
    )
