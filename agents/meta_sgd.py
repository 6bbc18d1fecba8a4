"""Meta-SGD (Li et al. 2017): MAML whose inner step sizes, one a parameter, are meta-learned with the weights.

With `per_step` each inner step has step sizes of its own (Antoniou et al. 2019, who learn one a layer and step).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.learn.gradient_learner import GradientLearner
from metarl.learn.step_sizes import LearnedStepSizes
from metarl.learner import CPU
from metarl.rl.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.rl.fast_weights import FastWeights, policy_learner
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(TrustRegionConfig):
    """`inner_lr` and `inner_lr_decay` are where the step sizes start from."""

    per_step: bool = False
    """Step sizes of its own for each inner step; a step beyond those trained takes the last one's."""


def meta_sgd(
    spec: EnvSpec, config: MetaSGDConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent by MAML with a learned step size for each parameter."""
    return policy_learner(
        spec,
        config,
        lambda problem: AdaptedTrustRegion(problem, config),
        step_sizes=LearnedStepSizes(
            inner_lr=config.inner_lr,
            decay=config.inner_lr_decay,
            num_steps=config.inner_steps if config.per_step else 1,
        ),
        generator=generator,
        device=device,
    )
