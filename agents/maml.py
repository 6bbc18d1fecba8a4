"""MAML with a TRPO outer step (Finn, Abbeel and Levine 2017, algorithm 3; Schulman et al. 2015).

1. Each task's support episodes give policy-gradient steps from theta to phi, kept differentiable in theta.
2. The meta-loss is the surrogate of the query episodes, collected with phi, averaged over tasks.
3. One natural-gradient step on theta, within a trust region on the KL of the *adapted* policies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.agents.fast_weights import CPU, FastWeights
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class MAMLConfig(TrustRegionConfig):
    first_order: bool = False
    """Drop the derivative of the inner gradient (FOMAML)."""


def maml(spec: EnvSpec, config: MAMLConfig, *, generator: torch.Generator, device: torch.device = CPU) -> FastWeights:
    return FastWeights(
        spec,
        config,
        meta_step=AdaptedTrustRegion(config),
        first_order=config.first_order,
        generator=generator,
        device=device,
    )
