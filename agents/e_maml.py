"""E-MAML (Stadie et al. 2018): MAML that also credits the pre-update policies for the data they explore.

theta moves the adapted return in two ways: through the weights of phi, for given support episodes (MAML's
meta-loss), and through which support episodes are sampled. E-MAML adds the second, by the score function:

    d/dtheta E[R_i] = E[ dR_i/dphi dphi/dtheta ] + E[ (R_i - b) d/dtheta sum_k log p(support_k | phi_k) ]

with R_i the query return of task i. b is the return of the task's first support set, standardised over
tasks: hard tasks have low returns whatever the exploration, so that the gain is credited and not the return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from agents.fast_weights import CPU, FastWeights, MetaBatch
from metarl.losses import surrogate_loss
from metarl.types import EnvSpec, Params
from metarl.validate import check_range


@dataclass(frozen=True, kw_only=True)
class EMAMLConfig(TrustRegionConfig):
    exploration_weight: float = 1.0
    """Of the exploration term, a mean over support steps, beside the query's mean over steps; 0 is MAML."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "exploration_weight", low=0)


def exploration_advantages(batch: MetaBatch) -> Tensor:
    """Each task's gain in return from before to after adaptation, standardised over tasks, (B,); 0 for one task."""
    gains = batch.query["returns"].double() - batch.supports[0]["returns"].double()
    centred = gains - gains.mean()
    return (centred / (centred.square().mean().sqrt() + 1e-8)).to(batch.query["log_probs"].dtype)


def exploration_loss(batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
    """-mean_i A_i mean_k E[pi_phi_k / pi_old over support_k]: its gradient at the old theta is that of log p."""
    advantages = exploration_advantages(batch)
    losses = []
    for phi, support in zip(phis, batch.supports, strict=False):  # the last phi took the query
        log_probs = batch.inner_loop.policy.dist(phi, support["obs"]).log_prob(support["actions"])
        credit = advantages.unsqueeze(-1).expand_as(log_probs)
        losses.append(torch.func.vmap(surrogate_loss)(log_probs, support["log_probs"], credit, support["mask"]))
    return torch.stack(losses).mean()


def e_maml(
    spec: EnvSpec, config: EMAMLConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> FastWeights:
    def extra_loss(batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
        return config.exploration_weight * exploration_loss(batch, phis)

    return FastWeights(
        spec, config, meta_step=AdaptedTrustRegion(config, extra_loss=extra_loss), generator=generator, device=device
    )
