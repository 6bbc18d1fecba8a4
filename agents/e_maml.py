"""E-MAML (Stadie et al. 2018): MAML that also credits the pre-update policies for the data they explore.

theta moves the adapted return in two ways: through the weights of phi, for given support episodes (MAML's
meta-loss), and through which support episodes are sampled. E-MAML adds the second, by the score function:

    d/dtheta E[R_i] = E[ dR_i/dphi dphi/dtheta ] + E[ (R_i - b) d/dtheta sum_k log p(support_k | phi_k) ]

with R_i the query return of task i. Hard tasks have low returns whatever the exploration, so that b is the return that
the task had before adaptation: of the first support set, without the very episode that is credited, on whose own return
a baseline must not depend (it would have its return lowered).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.learn.gradient_learner import GradientLearner, MetaBatch
from metarl.learner import CPU
from metarl.rl.adapted_trust_region import AdaptedTrustRegion, TrustRegionConfig
from metarl.rl.batch import Batch
from metarl.rl.fast_weights import FastWeights, PolicyProblem, policy_learner
from metarl.rl.losses import surrogate_loss
from metarl.rl.policies import Policy
from metarl.rl.returns import masked_mean
from metarl.types import EnvSpec, Params
from metarl.validate import NotNegative


@dataclass(frozen=True, kw_only=True)
class EMAMLConfig(TrustRegionConfig):
    """Settings of E-MAML: MAML's, and how much exploration weighs."""

    exploration_weight: NotNegative = 1.0
    """Of the exploration term, a mean over support steps, beside the query's mean over steps; 0 is MAML."""


def exploration_advantages(batch: MetaBatch, k: int) -> Tensor:
    """R_i - b of each episode of support set k, less the mean gain of the other tasks, over the gains' std: (B, N).

    0 for one task: there is nothing to compare its gain with.
    """
    first = batch.supports[0]
    before, after = (masked_mean(b["returns"].double(), b["kept"], dim=-1) for b in (first, batch.query))
    gains = after - before
    num_tasks, num_episodes = batch.supports[k]["kept"].shape
    if num_tasks == 1:
        return torch.zeros_like(batch.supports[k]["returns"])
    baseline = before.unsqueeze(-1).expand(-1, num_episodes)  # of episodes that later policies took it is one
    if k == 0:
        baseline = torch.where(first["kept"].sum(-1, keepdim=True) > 1, _of_others(first), _of_other_tasks(before))
    advantages = after.unsqueeze(-1) - baseline - _of_other_tasks(gains)
    return (advantages / (gains.std(correction=0) + 1e-8)).to(batch.query["log_probs"].dtype)


def _of_others(batch: Batch) -> Tensor:
    """Mean return of a task's other episodes, for each of them, (B, N)."""
    returns, kept = batch["returns"].double() * batch["kept"], batch["kept"]
    return (returns.sum(-1, keepdim=True) - returns) / (kept.sum(-1, keepdim=True) - 1).clamp(min=1)


def _of_other_tasks(values: Tensor) -> Tensor:
    """(B,) -> the mean of the other tasks' values, (B, 1)."""
    return ((values.sum() - values) / (len(values) - 1)).unsqueeze(-1)


def exploration_loss(policy: Policy, batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
    """-mean_i mean_k E[A pi_phi_k / pi_old over support_k]: its gradient at the old theta is that of A log p."""
    losses = []
    for k, (phi, support) in enumerate(zip(phis, batch.supports, strict=False)):  # the last phi took the query
        log_probs = policy.dist(phi, support["obs"]).log_prob(support["actions"])
        advantages = exploration_advantages(batch, k)
        credit = advantages.repeat_interleave(log_probs.shape[-1] // advantages.shape[-1], dim=-1)
        losses.append(torch.func.vmap(surrogate_loss)(log_probs, support["log_probs"], credit, support["mask"]))
    return torch.stack(losses).mean()


def e_maml(
    spec: EnvSpec, config: EMAMLConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent by MAML whose outer loss also rewards support episodes that led to a better phi."""

    def outer_step(problem: PolicyProblem) -> AdaptedTrustRegion:
        def extra_loss(batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
            return config.exploration_weight * exploration_loss(problem.policy, batch, phis)

        return AdaptedTrustRegion(problem, config, extra_loss=extra_loss)

    return policy_learner(spec, config, outer_step, generator=generator, device=device)
