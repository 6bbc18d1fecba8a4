"""Meta-RL by gradients: phi is theta after policy-gradient steps on a task's own episodes (Finn et al. 2017).

`policy_learner` puts an algorithm together from an inner loss (log-probabilities: MAML; probability ratios: ProMP),
step sizes, the order of the inner gradient, and an outer step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learn.gradient_cosine import mean_pairwise_cosine
from metarl.learn.gradient_learner import CPU, Batch, GradientLearner, MetaBatch, OuterStep
from metarl.learn.inner_loop import InnerLoop
from metarl.learn.step_sizes import FixedStepSizes, StepSizes
from metarl.rl.batch import flat_batch
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.losses import policy_gradient_loss
from metarl.rl.pictures import policy_for
from metarl.rl.policies import MAX_STD, Policy
from metarl.rl.returns import masked_mean
from metarl.rollout.actor import PolicyActor
from metarl.types import EnvSpec, Episodes, Params, TaskData
from metarl.validate import Bounds, Checked, Count, Positive, Search, Share

STEPS_TAKEN = "steps_taken"
"""In a phi, beside its weights: the inner steps behind it, since a step's size may depend on which one it is."""

InnerLoss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""(log_probs (M,) of one task's actions under the weights, that task's steps) -> scalar."""


@dataclass(frozen=True, kw_only=True)
class FastWeightsConfig(Checked):
    """Settings that all agents with an inner loop share."""

    inner_lr: Annotated[Positive, Search(0.01, 1.0)] = 0.1
    """Step size on a loss of advantages standardised by their standard deviation."""
    inner_lr_decay: Annotated[float, Bounds(above=0, most=1)] = 1.0
    """Each inner step's size is this times the one before. The MAML paper halves it at test time; advantages are
    standardised anew for each step, so that no step gets smaller by itself as the policy gets better."""
    inner_steps: Count = 1
    """Inner gradient steps, each on support episodes of its own."""
    gamma: Share = 0.99
    gae_lambda: Share = 1.0
    hidden: tuple[Count, ...] = (128, 128)
    init_std: float = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: Positive = 1e-3
    exploration: ExplorationConfig = ExplorationConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        Bounds(least=self.min_std, most=MAX_STD).check("init_std", self.init_std)


def log_prob_loss(log_probs: Tensor, support: Mapping[str, Tensor]) -> Tensor:
    """MAML's inner loss: its gradient is the policy gradient."""
    return policy_gradient_loss(log_probs, support["advantages"], support["mask"])


@dataclass(frozen=True)
class TaskLoss:
    """The inner loss of one task's weights on its steps."""

    policy: Policy
    of_log_probs: InnerLoss

    def __call__(self, weights: Params, support: Batch) -> Tensor:
        return self.of_log_probs(self.policy.dist(weights, support["obs"]).log_prob(support["actions"]), support)


@dataclass(frozen=True, kw_only=True)
class PolicyProblem:
    """A `Problem` whose data are episodes: advantages by a linear baseline, losses by policy gradients."""

    spec: EnvSpec
    config: FastWeightsConfig
    policy: Policy
    inner_loop: InnerLoop

    def meta_batch(self, data: Sequence[TaskData], theta: Params) -> MetaBatch:
        device = theta[self.inner_loop.weight_names[0]].device
        supports, variances = zip(
            *(self.prepare([d.supports[k] for d in data], device) for k in range(self.config.inner_steps)),
            strict=True,
        )
        query, query_variance = self.prepare([d.query for d in data], device)
        taken_by = data[0].behaviour  # its phis took the episodes; theta may have moved on since
        with torch.no_grad():
            old_phis = self.inner_loop.path(theta if taken_by is None else taken_by.theta, supports)
            entropy = self.policy.dist(old_phis[-1], query["obs"]).entropy()
        metrics = {
            "entropy": float(masked_mean(entropy, query["mask"])),
            "explained_variance/support": sum(variances) / len(variances),
            "explained_variance/query": query_variance,
            "inner_step_cosine": mean_cosine(*old_phis[:2]),
        }
        return MetaBatch(supports=supports, query=query, old_phis=old_phis, metrics=metrics)

    def prepare(self, episodes: Sequence[Episodes], device: torch.device) -> tuple[Batch, float]:
        """Steps of all tasks with advantages, and the baseline's explained variance."""
        batch, variance = flat_batch(episodes, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        return P.to(batch, device), variance

    def project(self, theta: Params) -> Params:
        """With the noise within its range."""
        return self.policy.project(theta)

    def behaviour(self, theta: Params, *, version: int) -> FastWeights:
        return FastWeights(self, theta, version)


@dataclass(frozen=True)
class FastWeights:
    """An RLBehaviour whose phi is a set of fast weights, on the CPU."""

    problem: PolicyProblem
    theta: Params
    version: int
    keeps_memory = False

    @property
    def spec(self) -> EnvSpec:
        return self.problem.spec

    @property
    def adaptation_rounds(self) -> int:
        return self.problem.config.inner_steps

    def actor(self, *, deterministic: bool = False) -> PolicyActor:
        return PolicyActor(self.problem.policy, deterministic=deterministic)

    def explorer(self) -> PolicyActor:
        exponent = self.problem.config.exploration.exponent_at(self.version)
        return PolicyActor(self.problem.policy, noise_exponent=exponent)

    def prior(self) -> Params:
        weights = P.to(P.detach(self.problem.inner_loop.weights(self.theta)), CPU)
        return weights | {STEPS_TAKEN: torch.zeros((), dtype=torch.int64)}

    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        """One inner step for each task from its own phi; all tasks have taken equally many before."""
        steps = {int(phi[STEPS_TAKEN]) for phi in phis}
        if len(steps) != 1:
            raise ValueError(f"the phis have taken {sorted(steps)} inner steps; adapt those with equally many together")
        (step,) = steps
        inner_loop = self.problem.inner_loop
        device = self.theta[inner_loop.weight_names[0]].device
        batch, _ = self.problem.prepare(supports, device)
        stacked = P.to(inner_loop.weights(P.stack(phis)), device)
        with torch.no_grad():
            adapted = inner_loop.step(self.theta, stacked, batch, step=step)
        if not P.is_finite(adapted):
            raise NonFiniteError(
                f"the inner step gave non-finite parameters; lower inner_lr={self.problem.config.inner_lr}"
            )
        steps_taken = {STEPS_TAKEN: torch.tensor(step + 1)}
        return [phi | steps_taken for phi in P.unstack(P.to(P.detach(adapted), CPU))]


def policy_learner(
    spec: EnvSpec,
    config: FastWeightsConfig,
    outer_step: Callable[[PolicyProblem], OuterStep],
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    inner_loss: InnerLoss = log_prob_loss,
    step_sizes: StepSizes | None = None,
    first_order: bool = False,
) -> GradientLearner[FastWeights]:
    """`outer_step` is made for the problem; without `step_sizes` they are the config's, the same for all weights."""
    policy = policy_for(spec, hidden=config.hidden, init_std=config.init_std, min_std=config.min_std)
    sizes = step_sizes or FixedStepSizes(inner_lr=config.inner_lr, decay=config.inner_lr_decay)
    weights = policy.init(generator)
    inner_loop = InnerLoop(
        loss=TaskLoss(policy, inner_loss), step_sizes=sizes, weight_names=tuple(weights), first_order=first_order
    )
    problem = PolicyProblem(spec=spec, config=config, policy=policy, inner_loop=inner_loop)
    return GradientLearner(problem, outer_step(problem), theta=weights | sizes.init(weights), device=device)


def mean_cosine(before: Params, after: Params) -> float:
    """Mean cosine between two different tasks' steps from `before` to `after`, (B, ...) each; 0 for one task.

    1: all tasks ask for the same step, so that adaptation tells nothing apart; below 0: their steps conflict.
    """
    return mean_pairwise_cosine(torch.cat([(after[name] - before[name]).flatten(1) for name in before], dim=1))
