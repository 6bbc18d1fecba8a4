"""ANIL, almost no inner loop (Raghu et al. 2020): MAML whose inner loop adapts the last layer only.

The body and the Gaussian's log_std are meta-learned and the same for all tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.agents.fast_weights import CPU, FastWeights, FixedStepSizes
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class ANILConfig(TrustRegionConfig):
    pass


def anil(spec: EnvSpec, config: ANILConfig, *, generator: torch.Generator, device: torch.device = CPU) -> FastWeights:
    head = len(config.hidden)
    return FastWeights(
        spec,
        config,
        meta_step=AdaptedTrustRegion(config),
        step_sizes=FixedStepSizes(inner_lr=config.inner_lr, decay=config.inner_lr_decay, only=(f"w{head}", f"b{head}")),
        generator=generator,
        device=device,
    )
