"""What the gradient family shares: phi is theta after policy-gradient steps on a task's own episodes.

An algorithm of the family is a `FastWeights` learner put together from four parts, each a function or a small object:

- the inner loss (log-probabilities: MAML; probability ratios: ProMP),
- the step sizes (one number: MAML; of the last layer only: ANIL; learned, one a parameter: Meta-SGD),
- whether the inner gradient is differentiated (MAML) or not (FOMAML, Reptile),
- the meta-step (trust region: MAML; clipped surrogate: ProMP; towards the mean phi: Reptile).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learn.gradient_cosine import mean_pairwise_cosine
from metarl.learn.inner_loop import adapt_tasks
from metarl.rl.batch import Batch, flat_batch
from metarl.rl.distributions import ActionDistribution
from metarl.rl.losses import policy_gradient_loss
from metarl.rl.policies import MAX_STD, Policy, mlp_policy
from metarl.rl.returns import masked_mean
from metarl.rollout.actor import PolicyActor
from metarl.runs.checkpoint import check_tensors_match
from metarl.types import EnvSpec, Episodes, Metrics, Params, Phi, TaskData
from metarl.validate import check_range

CPU = torch.device("cpu")
STEPS_TAKEN = "steps_taken"
"""In a phi, beside its weights: the inner steps behind it, since a step's size may depend on which one it is."""

InnerLoss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""(log_probs (M,) of one task's actions under the weights, that task's steps) -> scalar."""


@dataclass(frozen=True, kw_only=True)
class FastWeightsConfig:
    inner_lr: float = 0.1
    """Step size on a loss of advantages standardised by their standard deviation."""
    inner_lr_decay: float = 1.0
    """Each inner step's size is this times the one before. The MAML paper halves it at test time; advantages are
    standardised anew for each step, so that no step gets smaller by itself as the policy gets better."""
    inner_steps: int = 1
    """Inner gradient steps, each on support episodes of its own."""
    gamma: float = 0.99
    gae_lambda: float = 1.0
    hidden: tuple[int, ...] = (128, 128)
    init_std: float = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: float = 1e-3

    def __post_init__(self) -> None:
        check_range(self, "inner_lr", low=0, low_open=True)
        check_range(self, "inner_lr_decay", low=0, low_open=True, high=1)
        check_range(self, "inner_steps", low=1)
        check_range(self, "gamma", low=0, high=1)
        check_range(self, "gae_lambda", low=0, high=1)
        check_range(self, "hidden", low=1)
        check_range(self, "min_std", low=0, low_open=True)
        check_range(self, "init_std", low=self.min_std, high=MAX_STD)


class StepSizes(Protocol):
    """How far an inner step goes; theta may hold them."""

    def init(self, weights: Params) -> Params:
        """What theta holds beside the policy's weights; empty where step sizes are not learned."""
        ...

    def at(self, theta: Params, step: int) -> float | Params:
        """Of inner step `step`, counted from 0; of some weights only, where the others are to stay as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class FixedStepSizes:
    """inner_lr * decay^step, for all weights or for those in `only`."""

    inner_lr: float
    decay: float = 1.0
    only: tuple[str, ...] = ()

    def init(self, weights: Params) -> Params:
        return {}

    def at(self, theta: Params, step: int) -> float | Params:
        size = self.inner_lr * self.decay**step
        return {name: torch.full_like(theta[name], size) for name in self.only} if self.only else size


def fixed_step_sizes(config: FastWeightsConfig) -> FixedStepSizes:
    return FixedStepSizes(inner_lr=config.inner_lr, decay=config.inner_lr_decay)


def log_prob_loss(log_probs: Tensor, support: Mapping[str, Tensor]) -> Tensor:
    """MAML's inner loss: its gradient is the policy gradient."""
    return policy_gradient_loss(log_probs, support["advantages"], support["mask"])


@dataclass(frozen=True, kw_only=True)
class InnerLoop:
    """theta -> phi_0, phi_1, ..., phi_K of all tasks at once, differentiable in theta."""

    policy: Policy
    loss: InnerLoss
    step_sizes: StepSizes
    weight_names: tuple[str, ...]
    first_order: bool = False

    def weights(self, theta: Params) -> Params:
        """phi_0 of every task, without the step sizes that theta may hold."""
        return {name: theta[name] for name in self.weight_names}

    def rounds(self, theta: Params, supports: Sequence[Batch]) -> list[Params]:
        """[phi_0, ..., phi_K], each stacked over tasks; support set k gives the step from phi_k to phi_{k+1}."""
        weights = self.weights(theta)
        # unstacked: one matrix product then serves all tasks
        phis = [self.step(theta, weights, supports[0], step=0, stacked=False)]
        for step, support in enumerate(supports[1:], start=1):
            phis.append(self.step(theta, phis[-1], support, step=step))
        return [P.repeat(weights, len(supports[0]["mask"])), *phis]

    def step(self, theta: Params, phis: Params, support: Batch, *, step: int, stacked: bool = True) -> Params:
        """One inner step of each task from its own row of `phis`, or from the same; theta holds the step sizes."""
        return adapt_tasks(
            self.task_loss,
            phis,
            [support],
            inner_lr=self.step_sizes.at(theta, step),
            first_order=self.first_order,
            params_stacked=stacked,
        )

    def task_loss(self, params: Params, support: Batch) -> Tensor:
        return self.loss(self.policy.dist(params, support["obs"]).log_prob(support["actions"]), support)


class MetaBatch:
    """One meta-update's data with the policies that took it: what a meta-step is made of."""

    def __init__(self, inner_loop: InnerLoop, theta: Params, supports: Sequence[Batch], query: Batch) -> None:
        self.inner_loop, self.supports, self.query = inner_loop, supports, query
        with torch.no_grad():
            self.old_phis = inner_loop.rounds(theta, supports)
            self.old_dist = self.query_dist(self.old_phis)
            """Of the query states, under the phis that collected them, (B, M, ...)."""

    def query_dist(self, phis: Sequence[Params]) -> ActionDistribution:
        return self.inner_loop.policy.dist(phis[-1], self.query["obs"])


class MetaStep(Protocol):
    """theta -> the next theta, from one meta-batch."""

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        """The metrics hold `meta_step_accepted`, 1 or 0."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class FastWeights:
    """An RLMetaLearner whose phi is a set of fast weights, on the CPU; theta lives on `device`."""

    keeps_memory = False

    def __init__(
        self,
        spec: EnvSpec,
        config: FastWeightsConfig,
        *,
        meta_step: MetaStep,
        generator: torch.Generator,
        device: torch.device = CPU,
        inner_loss: InnerLoss = log_prob_loss,
        step_sizes: StepSizes | None = None,
        first_order: bool = False,
    ) -> None:
        self.spec, self.config, self.device, self.meta_step = spec, config, device, meta_step
        self.policy = mlp_policy(spec, hidden=config.hidden, init_std=config.init_std, min_std=config.min_std)
        step_sizes = step_sizes or fixed_step_sizes(config)
        weights = self.policy.init(generator)
        self.inner_loop = InnerLoop(
            policy=self.policy,
            loss=inner_loss,
            step_sizes=step_sizes,
            weight_names=tuple(weights),
            first_order=first_order,
        )
        self.theta = P.to(weights | step_sizes.init(weights), device)

    @property
    def adaptation_rounds(self) -> int:
        return self.config.inner_steps

    def actor(self, *, deterministic: bool = False) -> PolicyActor:
        return PolicyActor(self.policy, deterministic=deterministic)

    def prior(self) -> Params:
        return P.to(self.inner_loop.weights(self.theta), CPU) | {STEPS_TAKEN: torch.zeros((), dtype=torch.int64)}

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Episodes]) -> list[Phi]:
        """One inner step for each task from its own phi; all tasks have taken equally many before."""
        steps = {int(phi[STEPS_TAKEN]) for phi in phis}
        if len(steps) != 1:
            raise ValueError(f"the phis have taken {sorted(steps)} inner steps; adapt those with equally many together")
        (step,) = steps
        batch, _ = self._prepare(supports)
        stacked = P.to(self.inner_loop.weights(P.stack(phis)), self.device)
        with torch.no_grad():
            adapted = self.inner_loop.step(self.theta, stacked, batch, step=step)
        if not P.is_finite(adapted):
            raise NonFiniteError(f"the inner step gave non-finite parameters; lower inner_lr={self.config.inner_lr}")
        steps_taken = {STEPS_TAKEN: torch.tensor(step + 1)}
        return [phi | steps_taken for phi in P.unstack(P.to(P.detach(adapted), CPU))]

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        supports, variances = zip(
            *(self._prepare([data.supports[k] for data in batch]) for k in range(self.config.inner_steps)),
            strict=True,
        )
        query, query_variance = self._prepare([data.query for data in batch])
        meta_batch = MetaBatch(self.inner_loop, self.theta, supports, query)
        theta, metrics = self.meta_step.step(meta_batch, self.theta)
        if not P.is_finite(theta):
            raise NonFiniteError("the meta-step gave non-finite parameters; theta was left as it was")
        self.theta = self.policy.project(theta)
        return metrics | {
            "entropy": float(masked_mean(meta_batch.old_dist.entropy(), query["mask"])),
            "explained_variance/support": sum(variances) / len(variances),
            "explained_variance/query": query_variance,
            "inner_step_cosine": mean_cosine(meta_batch.old_phis[0], meta_batch.old_phis[1]),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"theta": self.theta, "meta_optimizer": self.meta_step.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        # in theta's own order: flattening follows it, and with it the rounding of the next step
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.meta_step.load_state_dict(state["meta_optimizer"])

    def _prepare(self, episodes: Sequence[Episodes]) -> tuple[Batch, float]:
        batch, variance = flat_batch(episodes, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        return P.to(batch, self.device), variance


def mean_cosine(before: Params, after: Params) -> float:
    """Mean cosine between two different tasks' steps from `before` to `after`, (B, ...) each; 0 for one task.

    1: all tasks ask for the same step, so that adaptation tells nothing apart; below 0: their steps conflict.
    """
    return mean_pairwise_cosine(torch.cat([(after[name] - before[name]).flatten(1) for name in before], dim=1))
