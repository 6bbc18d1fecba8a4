"""MAML with a TRPO outer step (Finn, Abbeel and Levine 2017, algorithm 3; Schulman et al. 2015).

1. Each task's support episodes give policy-gradient steps from theta to phi, kept differentiable in theta.
2. The meta-loss is the surrogate of the query episodes, collected with phi, averaged over tasks.
3. One natural-gradient step on theta, within a trust region on the KL of the *adapted* policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.advantages import linear_baseline_advantages
from metarl import params as P
from metarl.checkpoint import check_tensors_match
from metarl.distributions import ActionDistribution
from metarl.errors import NonFiniteError, UserError
from metarl.inner_loop import adapt_tasks
from metarl.losses import policy_gradient_loss, surrogate_loss
from metarl.meta_optimizer import TrustRegion
from metarl.policies import mlp_policy
from metarl.returns import masked_mean
from metarl.rollout.actor import PolicyActor
from metarl.types import EnvSpec, Episodes, Metrics, Params, TaskData, stack_episodes
from metarl.validate import check_range

CPU = torch.device("cpu")

Batch = dict[str, Tensor]
"""A stack of tasks' steps, flat over episodes and time: obs (B, M, O), actions, log_probs, advantages, mask (B, M)."""


@dataclass(frozen=True, kw_only=True)
class MAMLConfig:
    inner_lr: float = 0.1
    """Step size on a loss of advantages standardised by their standard deviation."""
    inner_steps: int = 1
    """Inner gradient steps, each on support episodes of its own."""
    first_order: bool = False
    """Drop the derivative of the inner gradient (FOMAML)."""
    gamma: float = 0.99
    gae_lambda: float = 1.0
    hidden: tuple[int, ...] = (128, 128)
    init_std: float = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: float = 1e-3
    max_kl: float = 0.01
    """Trust region of the outer step, nats per state."""
    cg_iterations: int = 10
    cg_damping: float = 1e-5
    fisher_stride: int = 5
    """Every how-manieth step enters the Fisher matrix (TRPO's appendix C.1 also takes a tenth of the data). Loss,
    gradient and the line search's KL use all of them; 1 is exact and makes an update three times as long."""

    def __post_init__(self) -> None:
        check_range(self, "inner_lr", low=0, low_open=True)
        check_range(self, "inner_steps", low=1)
        check_range(self, "gamma", low=0, high=1)
        check_range(self, "gae_lambda", low=0, high=1)
        check_range(self, "init_std", low=0, low_open=True)
        check_range(self, "min_std", low=0, low_open=True)
        check_range(self, "max_kl", low=0, low_open=True)
        check_range(self, "cg_iterations", low=1)
        check_range(self, "cg_damping", low=0)
        check_range(self, "fisher_stride", low=1)


class MAML:
    """An RLMetaLearner whose phi is a set of fast weights, on the CPU; theta lives on `device`."""

    keeps_memory = False

    def __init__(
        self,
        spec: EnvSpec,
        config: MAMLConfig,
        *,
        generator: torch.Generator,
        device: torch.device = CPU,
    ) -> None:
        self.config, self.device = config, device
        self.policy = mlp_policy(spec, hidden=config.hidden, init_std=config.init_std, min_std=config.min_std)
        self.theta = P.to(self.policy.init(generator), device)
        self.meta_optimizer = TrustRegion(
            max_kl=config.max_kl, cg_iterations=config.cg_iterations, cg_damping=config.cg_damping
        )

    @property
    def adaptation_rounds(self) -> int:
        return self.config.inner_steps

    def actor(self, *, deterministic: bool = False) -> PolicyActor:
        return PolicyActor(self.policy, deterministic=deterministic)

    def prior(self) -> Params:
        return P.to(self.theta, CPU)

    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        """One inner step for each task from its own phi."""
        batch, _ = self._prepare(supports)
        adapted = adapt_tasks(
            self._inner_loss,
            P.to(P.stack(phis), self.device),
            [batch],
            inner_lr=self.config.inner_lr,
            first_order=True,  # nothing will be differentiated through this step
            params_stacked=True,
        )
        if not P.is_finite(adapted):
            raise NonFiniteError(f"the inner step gave non-finite parameters; lower inner_lr={self.config.inner_lr}")
        return P.unstack(P.to(P.detach(adapted), CPU))

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        supports, variances = zip(
            *(self._prepare([data.supports[k] for data in batch]) for k in range(self.config.inner_steps)),
            strict=True,
        )
        query, query_variance = self._prepare([data.query for data in batch])
        objective = _MetaObjective(self, supports, query)
        theta, metrics = self.meta_optimizer.step(objective, self.theta)
        if not P.is_finite(theta):
            raise NonFiniteError("the meta-step gave non-finite parameters; theta was left as it was")
        self.theta = theta
        return metrics | {
            "entropy": float(masked_mean(objective.old_dist.entropy(), query["mask"])),
            "explained_variance/support": sum(variances) / len(variances),
            "explained_variance/query": query_variance,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"theta": self.theta, "meta_optimizer": self.meta_optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        # in theta's own order: flattening follows it, and with it the rounding of the next step
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.meta_optimizer.load_state_dict(state["meta_optimizer"])

    def adapted_policy(self, theta: Params, supports: Sequence[Batch], query: Batch) -> ActionDistribution:
        """The query states' action distributions under each task's phi(theta), (B, M, ...)."""
        phis = adapt_tasks(
            self._inner_loss,
            theta,
            supports,
            inner_lr=self.config.inner_lr,
            first_order=self.config.first_order,
        )
        return self.policy.dist(phis, query["obs"])

    def _inner_loss(self, params: Params, support: Batch) -> Tensor:
        log_probs = self.policy.dist(params, support["obs"]).log_prob(support["actions"])
        return policy_gradient_loss(log_probs, support["advantages"], support["mask"])

    def _prepare(self, episodes: Sequence[Episodes]) -> tuple[Batch, float]:
        """Stack the tasks, compute advantages, flatten (N, T) to M."""
        stacked = stack_episodes(episodes)
        if not stacked.mask.any(-1).any(-1).all():
            raise UserError("a task has no step to adapt on: all its episodes are empty or were dropped")
        advantages, variance = linear_baseline_advantages(
            stacked, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda
        )
        if not torch.isfinite(advantages).all():
            raise NonFiniteError("NaN or infinity in the advantages; the rewards are too large for float32")
        fields = {
            "obs": stacked.obs,
            "actions": stacked.actions,
            "log_probs": stacked.log_probs,
            "advantages": advantages,
            "mask": stacked.mask,
        }
        return {name: x.flatten(1, 2).to(self.device) for name, x in fields.items()}, variance


class _MetaObjective:
    """The meta-loss of a fixed batch as a function of theta, for the trust region."""

    def __init__(self, learner: MAML, supports: Sequence[Batch], query: Batch) -> None:
        self.learner, self.supports, self.query = learner, supports, query
        with torch.no_grad():
            self.old_dist = learner.adapted_policy(learner.theta, supports, query)

    def loss_and_kl(self, theta: Params) -> tuple[Tensor, Tensor]:
        q = self.query
        dist = self.learner.adapted_policy(theta, self.supports, q)
        log_probs = dist.log_prob(q["actions"])
        losses = torch.func.vmap(surrogate_loss)(log_probs, q["log_probs"], q["advantages"], q["mask"])
        return losses.mean(), (dist.kl_from(self.old_dist) * _state_weights(q["mask"])).sum()

    def policy(self, theta: Params) -> tuple[ActionDistribution, Tensor]:
        stride = self.learner.config.fisher_stride
        *supports, query = (_every(batch, stride) for batch in (*self.supports, self.query))
        return self.learner.adapted_policy(theta, supports, query), _state_weights(query["mask"])


def _every(batch: Batch, stride: int) -> Batch:
    return {name: x[:, ::stride].contiguous() for name, x in batch.items()}


def _state_weights(mask: Tensor) -> Tensor:
    """Weights that sum to 1, every task alike whatever its number of steps, (B, M)."""
    weights = mask.float()
    return weights / weights.sum(-1, keepdim=True).clamp(min=1) / len(mask)
