"""The meta-step of MAML and its nearest kin: one natural-gradient step on theta, within a trust region on the KL of the
*adapted* policies (Finn et al. 2017, section 5.3; Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from metarl.learn.gradient_learner import MetaBatch
from metarl.learn.meta_optimizer import TrustRegion
from metarl.rl.batch import Batch
from metarl.rl.distributions import ActionDistribution
from metarl.rl.fast_weights import FastWeightsConfig, PolicyProblem
from metarl.rl.losses import surrogate_loss
from metarl.types import Metrics, Params
from metarl.validate import Count, NotNegative, Positive, Search

ExtraLoss = Callable[[MetaBatch, Sequence[Params]], Tensor]
"""(batch, [phi_0, ..., phi_K] as functions of theta) -> what is added to MAML's meta-loss, scalar."""


@dataclass(frozen=True, kw_only=True)
class TrustRegionConfig(FastWeightsConfig):
    """Settings of agents with an inner loop and an outer step of TRPO."""

    max_kl: Annotated[Positive, Search(0.003, 0.1)] = 0.01
    """Trust region of the outer step, nats per state."""
    cg_iterations: Count = 10
    cg_damping: NotNegative = 1e-5
    fisher_stride: Count = 5
    """The Fisher matrix is a mean over every n-th query state (TRPO's appendix C.1 also takes a tenth of the data).
    Loss, gradient and the line search's KL use all of them; 1 is exact and makes an update three times as long."""
    fisher_support_stride: Count | None = None
    """In the Fisher matrix alone, how phi changes with theta is taken from every n-th support step; phi itself is that
    of all of them. None: as `fisher_stride`. On ML10 with two inner steps a step has a cosine of 0.984 with the exact
    one at 5, and of 0.9998 at 1, where an update takes three to six times as long."""
    judge_every_step: bool = False
    """The meta-loss is the mean over phi_1, ..., phi_K and not of phi_K alone (Antoniou et al. 2019), which makes each
    inner step count. It takes no more episodes: support set k + 1 was taken by phi_k, and so judges it."""


class AdaptedTrustRegion:
    """An OuterStep by `TrustRegion`."""

    def __init__(
        self, problem: PolicyProblem, config: TrustRegionConfig, *, extra_loss: ExtraLoss | None = None
    ) -> None:
        self._problem, self._config, self._extra_loss = problem, config, extra_loss
        self._optimizer = TrustRegion(
            max_kl=config.max_kl, cg_iterations=config.cg_iterations, cg_damping=config.cg_damping
        )

    def objective(self, batch: MetaBatch) -> AdaptedObjective:
        return AdaptedObjective(batch, self._problem, self._config, self._extra_loss)

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        return self._optimizer.step(self.objective(batch), theta)

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state)


class AdaptedObjective:
    """The meta-loss of a fixed batch as a function of theta, for the trust region."""

    def __init__(
        self, batch: MetaBatch, problem: PolicyProblem, config: TrustRegionConfig, extra_loss: ExtraLoss | None
    ) -> None:
        self._batch, self._problem, self._config, self._extra_loss = batch, problem, config, extra_loss
        self._judged = self._judges(batch.supports, batch.query)
        with torch.no_grad():
            self._old_dists = self._dists(batch.old_phis, self._judged)

    def loss_and_kl(self, theta: Params) -> tuple[Tensor, Tensor]:
        """-E[pi_phi / pi_old A] and KL(pi_old || pi_phi), means over tasks, all alike, and over the judged phis."""
        phis = self._problem.inner_loop.path(theta, self._batch.supports)
        losses, kls = [], []
        dists = self._dists(phis, self._judged)
        for (_, data), dist, old_dist in zip(self._judged, dists, self._old_dists, strict=True):
            log_probs = dist.log_prob(data["actions"])
            by_task = torch.func.vmap(surrogate_loss)(log_probs, data["log_probs"], data["advantages"], data["mask"])
            losses.append(by_task.mean())
            kls.append((dist.kl_from(old_dist) * _state_weights(data["mask"])).sum())
        loss = torch.stack(losses).mean()
        if self._extra_loss is not None:
            loss = loss + self._extra_loss(self._batch, phis)
        return loss, torch.stack(kls).mean()

    def policy(self, theta: Params) -> tuple[ActionDistribution, Tensor]:
        supports, stride = self._batch.supports, self._config.fisher_stride
        judged = self._judges([_every(data, stride) for data in supports], _every(self._batch.query, stride))
        dists = self._dists(self._phis_of_thinned_supports(theta), judged)
        weights = torch.cat([_state_weights(data["mask"]) for _, data in judged], dim=1) / len(judged)
        return dists[0].with_parameters(*(torch.cat(p, dim=1) for p in zip(*dists, strict=True))), weights

    def _phis_of_thinned_supports(self, theta: Params) -> list[Params]:
        """phi_0, ..., phi_K of all support steps, with the derivative in theta that fewer of them give."""
        stride = self._config.fisher_support_stride or self._config.fisher_stride
        path, supports = self._problem.inner_loop.path, self._batch.supports
        if stride == 1:
            return path(theta, supports)
        with torch.no_grad():
            exact = path(theta, supports)
        thinned = path(theta, [_every(data, stride) for data in supports])
        return [
            {name: p + (few[name] - few[name].detach()) for name, p in all_steps.items()}
            for all_steps, few in zip(exact, thinned, strict=True)
        ]

    def _judges(self, supports: Sequence[Batch], query: Batch) -> list[tuple[int, Batch]]:
        """(k, steps taken by phi_k) of each phi that the meta-loss counts."""
        taken_by = list(enumerate((*supports, query)))
        return taken_by[1:] if self._config.judge_every_step else taken_by[-1:]

    def _dists(self, phis: Sequence[Params], judged: Sequence[tuple[int, Batch]]) -> list[ActionDistribution]:
        return [self._problem.policy.dist(phis[k], data["obs"]) for k, data in judged]


def _every(batch: Batch, stride: int) -> Batch:
    """Every n-th step; what is not a step's own stays."""
    return {name: x[:, ::stride].contiguous() if x.dim() > 1 else x for name, x in batch.items()}


def _state_weights(mask: Tensor) -> Tensor:
    """Weights that sum to 1, every task alike whatever its number of steps, (B, M)."""
    weights = mask.float()
    return weights / weights.sum(-1, keepdim=True).clamp(min=1) / len(mask)
