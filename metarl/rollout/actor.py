"""The policy side of a rollout: one batched, gradient-free call a step for all lanes of a group."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metarl.learn.params import stack
from metarl.learner import ActorInput, Memory
from metarl.rl.policies import Policy
from metarl.types import Phi


class PolicyActor:
    """A memoryless policy whose parameters are each job's phi: one matrix product serves all tasks."""

    def __init__(self, policy: Policy, *, deterministic: bool = False, noise_exponent: float = 0.0) -> None:
        """`noise_exponent`: see `exploration_noise.py`; of no effect on discrete actions."""
        self.policy = policy
        self.deterministic, self.noise_exponent = deterministic, noise_exponent

    @property
    def noise_dim(self) -> int:
        return 0 if self.deterministic else self.policy.action_dim

    @property
    def uniform_noise(self) -> bool:
        return self.policy.discrete

    def start(self, phis: Sequence[Phi], lanes_per_job: int) -> Memory:
        return stack(phis)

    def act(self, memory: Memory, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, Memory]:
        num_jobs = next(iter(memory.values())).shape[0]
        dist = self.policy.dist(memory, inputs.obs.unflatten(0, (num_jobs, -1)))
        actions = dist.mode() if self.deterministic else dist.sample(noise.unflatten(0, (num_jobs, -1)))
        return actions.flatten(0, 1), dist.log_prob(actions).flatten(), memory


class UniformActor:
    """Actions uniform in [-1, 1], or over the discrete ones; ignores phi. The floor of every comparison."""

    uniform_noise = True

    def __init__(self, *, action_dim: int, discrete: bool) -> None:
        self.action_dim, self.discrete = action_dim, discrete

    @property
    def noise_dim(self) -> int:
        return 1 if self.discrete else self.action_dim

    def start(self, phis: Sequence[Phi], lanes_per_job: int) -> Memory:
        return None

    def act(self, memory: Memory, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, Memory]:
        if self.discrete:
            actions = (noise[:, 0] * self.action_dim).long().clamp(max=self.action_dim - 1)
            return actions, torch.full((len(noise),), 1.0 / self.action_dim).log(), memory
        return noise * 2 - 1, torch.full((len(noise),), 0.5**self.action_dim).log(), memory
