"""First-order MAML (Finn, Abbeel and Levine 2017, section 5.2): MAML without the derivative of the inner gradient.

dphi/dtheta is taken for the identity, which saves the second derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.agents.fast_weights import CPU, FastWeights
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class FOMAMLConfig(TrustRegionConfig):
    pass


def fomaml(
    spec: EnvSpec, config: FOMAMLConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> FastWeights:
    return FastWeights(
        spec, config, meta_step=AdaptedTrustRegion(config), first_order=True, generator=generator, device=device
    )
