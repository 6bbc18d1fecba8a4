"""ANIL, almost no inner loop (Raghu et al. 2020): MAML whose inner loop adapts the last layer only.

The body and the Gaussian's log_std are meta-learned and the same for all tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.learn.gradient_learner import GradientLearner
from metarl.learn.step_sizes import FixedStepSizes
from metarl.learner import CPU
from metarl.rl.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.rl.fast_weights import FastWeights, policy_learner
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class ANILConfig(TrustRegionConfig):
    """Settings of ANIL: those of the trust region and the inner loop."""


def anil(
    spec: EnvSpec, config: ANILConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent whose inner loop moves the policy's last layer alone."""
    last = len(config.hidden)
    return policy_learner(
        spec,
        config,
        lambda problem: AdaptedTrustRegion(problem, config),
        step_sizes=FixedStepSizes(inner_lr=config.inner_lr, decay=config.inner_lr_decay, only=(f"w{last}", f"b{last}")),
        generator=generator,
        device=device,
    )
