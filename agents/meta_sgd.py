"""Meta-SGD (Li et al. 2017): MAML whose inner step sizes, one a parameter, are meta-learned with the weights.

With `per_step` each inner step has step sizes of its own (Antoniou et al. 2019, who learn one a layer and step).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.agents.fast_weights import CPU, FastWeights
from metarl.types import EnvSpec, Params

PREFIX = "step_size_"


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(TrustRegionConfig):
    """`inner_lr` and `inner_lr_decay` are where the step sizes start from."""

    per_step: bool = False
    """Step sizes of its own for each inner step; a step beyond those trained takes the last one's."""


@dataclass(frozen=True, kw_only=True)
class LearnedStepSizes:
    """theta holds (K, ...) step sizes for each of the policy's parameters; K = 1: the same for all steps."""

    inner_lr: float
    decay: float
    num_steps: int

    def init(self, weights: Params) -> Params:
        return {
            PREFIX + name: torch.stack(
                [torch.full_like(p, self.inner_lr * self.decay**step) for step in range(self.num_steps)]
            )
            for name, p in weights.items()
        }

    def at(self, theta: Params, step: int) -> Params:
        row = min(step, self.num_steps - 1)
        return {name.removeprefix(PREFIX): p[row] for name, p in theta.items() if name.startswith(PREFIX)}


def meta_sgd(
    spec: EnvSpec, config: MetaSGDConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> FastWeights:
    return FastWeights(
        spec,
        config,
        meta_step=AdaptedTrustRegion(config),
        step_sizes=LearnedStepSizes(
            inner_lr=config.inner_lr,
            decay=config.inner_lr_decay,
            num_steps=config.inner_steps if config.per_step else 1,
        ),
        generator=generator,
        device=device,
    )
