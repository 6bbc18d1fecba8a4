"""One policy for all tasks, trained by PPO (Schulman et al. 2017): the baseline without adaptation.

What a meta-learner gains over it is what adaptation is worth. `fine_tune` and `from_scratch` are this learner with
another way of adapting: PPO on the support episodes, from the trained policy or from a random one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learn.gradient_cosine import gradient_cosine
from metarl.learn.meta_optimizer import Adam
from metarl.learn.params import check_tensors_match
from metarl.learner import CPU
from metarl.rl.batch import STEP_FIELDS, Batch, flat_batch
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.losses import clipped_surrogate_loss
from metarl.rl.pictures import policy_for
from metarl.rl.policies import MAX_STD, Policy
from metarl.rl.ppo import ratio_metrics, shuffled_minibatches
from metarl.rl.returns import masked_mean
from metarl.rollout.actor import PolicyActor
from metarl.seeding import Stream, numpy_rng
from metarl.types import EnvSpec, Episodes, Metrics, Params, TaskData
from metarl.validate import Bounds, Checked, Count, NotNegative, Positive, Search, Share


@dataclass(frozen=True, kw_only=True)
class PPOConfig(Checked):
    """Settings of PPO over all tasks, which does not adapt."""

    lr: Annotated[Positive, Search(1e-4, 1e-2)] = 3e-4
    clip: Positive = 0.2
    epochs: Count = 10
    minibatches: Count = 8
    """Of each task's steps, in each epoch; every minibatch holds all tasks."""
    entropy_coef: NotNegative = 0.0
    max_grad_norm: Positive | None = 0.5
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    hidden: tuple[Count, ...] = (128, 128)
    init_std: float = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: Positive = 1e-3
    exploration: ExplorationConfig = ExplorationConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        Bounds(least=self.min_std, most=MAX_STD).check("init_std", self.init_std)


@dataclass(frozen=True, kw_only=True)
class PPOAdaptation:
    """PPO on one task's support episodes; each round starts with fresh moments."""

    lr: float
    epochs: int


def ppo_loss(policy: Policy, params: Params, batch: Batch, *, clip: float, entropy_coef: float) -> Tensor:
    """Clipped surrogate minus entropy bonus of each task, (B,); params are all tasks', or stacked (B, ...)."""
    dist = policy.dist(params, batch["obs"])

    def task_loss(log_probs: Tensor, entropy: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
        surrogate = clipped_surrogate_loss(log_probs, old, advantages, mask, clip=clip)
        return surrogate - entropy_coef * masked_mean(entropy, mask)

    log_probs = dist.log_prob(batch["actions"])
    return torch.func.vmap(task_loss)(log_probs, dist.entropy(), batch["log_probs"], batch["advantages"], batch["mask"])


@dataclass(frozen=True)
class PPOProblem:
    """What PPO's losses are taken over, in meta-training and in adapting."""

    spec: EnvSpec
    config: PPOConfig
    policy: Policy

    def losses(self, params: Params, batch: Batch) -> Tensor:
        """Of each task, (B,)."""
        return ppo_loss(self.policy, params, batch, clip=self.config.clip, entropy_coef=self.config.entropy_coef)

    def prepare(self, episodes: Sequence[Episodes], device: torch.device) -> tuple[Batch, float]:
        """Steps of all tasks with advantages, and the baseline's explained variance."""
        batch, variance = flat_batch(episodes, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        return P.to(batch, device), variance


@dataclass(frozen=True)
class OnePolicy:
    """An RLBehaviour; phi is a set of weights, on the CPU, which only an `adaptation` changes."""

    problem: PPOProblem
    adaptation: PPOAdaptation | None
    theta: Params
    version: int
    keeps_memory = False
    adaptation_rounds = 0
    """In meta-training: all episodes are the trained policy's own."""

    @property
    def spec(self) -> EnvSpec:
        return self.problem.spec

    def actor(self, *, deterministic: bool = False) -> PolicyActor:
        return PolicyActor(self.problem.policy, deterministic=deterministic)

    def explorer(self) -> PolicyActor:
        exponent = self.problem.config.exploration.exponent_at(self.version)
        return PolicyActor(self.problem.policy, noise_exponent=exponent)

    def prior(self) -> Params:
        return P.to(P.detach(self.theta), CPU)

    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        """The same phis, or those after `adaptation.epochs` full-batch steps of Adam on each task's own support.

        A task whose gradient is not finite keeps the phi that it has; the others do not notice.
        """
        device = self.theta["w0"].device
        batch, _ = self.problem.prepare(supports, device)
        if self.adaptation is None:
            return list(phis)
        adam = Adam(lr=self.adaptation.lr, eps=1e-5)
        adapted = P.to(P.stack(phis), device)
        for _ in range(self.adaptation.epochs):
            leaves = P.trainable(adapted)
            losses = self.problem.losses(leaves, batch)
            # summed, not averaged: each task's own weights then get the gradient that they would get alone
            grads = of_finite_tasks(P.gradient(losses.sum(), leaves))
            adapted, _ = adam.apply(grads, adapted, loss=float(losses.detach().nan_to_num().sum()))
        if not P.is_finite(adapted):
            raise NonFiniteError(f"fine-tuning gave non-finite parameters; lower adaptation_lr={self.adaptation.lr}")
        return P.unstack(P.to(self.problem.policy.project(adapted), CPU))


def of_finite_tasks(grads: Params) -> Params:
    """Gradients (B, ...) of stacked tasks, 0 for a task with a NaN or infinity in any of them."""
    finite = torch.stack([torch.isfinite(g).reshape(len(g), -1).all(1) for g in grads.values()]).all(0)
    return {
        name: torch.where(finite.view(-1, *[1] * (g.dim() - 1)), g, torch.zeros_like(g)) for name, g in grads.items()
    }


class MultiTaskPPO:
    """An RLMetaLearner; theta lives on `device`."""

    def __init__(
        self,
        spec: EnvSpec,
        config: PPOConfig,
        *,
        generator: torch.Generator,
        device: torch.device = CPU,
        adaptation: PPOAdaptation | None = None,
        trained: bool = True,
    ) -> None:
        """`trained=False`: theta stays at its random beginning, whatever the meta-batches."""
        self.config, self.device = config, device
        self.adaptation, self.trained = adaptation, trained
        self.policy = policy_for(spec, hidden=config.hidden, init_std=config.init_std, min_std=config.min_std)
        self.problem = PPOProblem(spec, config, self.policy)
        self.theta = P.to(self.policy.init(generator), device)
        self.meta_optimizer = Adam(lr=config.lr, eps=1e-5, max_grad_norm=config.max_grad_norm)
        self._shuffle_seed = int(torch.randint(2**31, (), generator=generator))
        self._num_updates = 0

    def behaviour(self) -> OnePolicy:
        return OnePolicy(self.problem, self.adaptation, self.theta, self._num_updates)

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        data, variance = self.problem.prepare([task_data.query for task_data in batch], self.device)
        with torch.no_grad():
            entropy = masked_mean(self.policy.dist(self.theta, data["obs"]).entropy(), data["mask"])
        metrics: Metrics = {"entropy": float(entropy), "explained_variance": variance}
        if not self.trained:
            return metrics | {"meta_step_accepted": 0.0}
        metrics["gradient_cosine"] = gradient_cosine(
            lambda theta, i: self.problem.losses(theta, {name: data[name][i : i + 1] for name in STEP_FIELDS})[0],
            self.theta,
            len(data["mask"]),
        )
        rng = numpy_rng((self._shuffle_seed, Stream.LEARN, self._num_updates))
        theta, history = self.theta, []
        minibatches = shuffled_minibatches(  # of steps, the same of every task
            data["mask"].shape[1],
            epochs=self.config.epochs,
            minibatches=self.config.minibatches,
            rng=rng,
            device=self.device,
        )
        for rows in minibatches:
            part = {name: data[name][:, rows] for name in STEP_FIELDS}
            theta, step = self.meta_optimizer.step(
                lambda theta, part=part: self.problem.losses(theta, part).mean(), theta
            )
            history.append(step)
        if not P.is_finite(theta):
            raise NonFiniteError(f"the update gave non-finite parameters; lower lr={self.config.lr}")
        self.theta = self.policy.project(theta)
        self._num_updates += 1
        with torch.no_grad():
            log_probs = self.policy.dist(theta, data["obs"]).log_prob(data["actions"])
        moved = ratio_metrics(log_probs, data["log_probs"], data["mask"], clip=self.config.clip)
        return metrics | {
            **moved,
            "meta_loss": history[0]["meta_loss"],
            "grad_norm": history[0]["grad_norm"],
            "meta_step_accepted": float(any(step["meta_step_accepted"] for step in history)),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "meta_optimizer": self.meta_optimizer.state_dict(),
            "shuffle_seed": self._shuffle_seed,
            "num_updates": self._num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.meta_optimizer.load_state_dict(state["meta_optimizer"])
        self._shuffle_seed, self._num_updates = state["shuffle_seed"], state["num_updates"]


def multi_task_ppo(
    spec: EnvSpec, config: PPOConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> MultiTaskPPO:
    """An agent without adaptation, trained by PPO on all tasks at once."""
    return MultiTaskPPO(spec, config, generator=generator, device=device)
