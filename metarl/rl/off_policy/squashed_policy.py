"""A squashed Gaussian policy for off-policy agents, and how one policy for all tasks acts in the rollout workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.learner import ActorInput
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.off_policy.norm_mlp import init_norm_mlp, norm_mlp, own_head
from metarl.rl.off_policy.replay import check_episodes
from metarl.rl.off_policy.squashed_gaussian import SquashedGaussian
from metarl.types import EnvSpec, Episodes, Params, Task

LOG_STD = (-5.0, 2.0)
"""Range of log_std before tanh: at its top actions lie mostly at the ends, at its bottom they hardly vary."""


@dataclass(frozen=True)
class SquashedPolicy:
    """obs (n, O) -> SquashedGaussian (n, A), whose std depends on the state."""

    obs_dim: int
    action_dim: int
    hidden: tuple[int, ...]
    layer_norm: bool = True
    heads: int = 0
    """Tasks with a last layer of their own; see `own_head`."""

    def init(self, generator: torch.Generator) -> Params:
        """The first actions are tanh(N(0, 1)), whatever the state."""
        sizes = (self.obs_dim, *self.hidden, max(1, self.heads) * 2 * self.action_dim)
        return init_norm_mlp(sizes, generator, layer_norm=self.layer_norm, last_std=0.01)

    def dist(self, params: Params, obs: Tensor) -> SquashedGaussian:
        outputs = own_head(norm_mlp(params, obs, len(self.hidden)), obs, self.heads)
        mean, log_std = outputs.float().chunk(2, -1)
        return SquashedGaussian(mean, log_std.clamp(*LOG_STD))


def fold_scales(params: Params, mean: Tensor, std: Tensor) -> Params:
    """The policy of raw observations that does what `params` do with (obs - mean) / std."""
    weight = params["w0"] / std.unsqueeze(-1)
    return params | {"w0": weight, "b0": params["b0"] - mean @ weight}


class SquashedActor:
    """One set of parameters for all tasks; phi is empty."""

    uniform_noise = False

    def __init__(
        self,
        policy: SquashedPolicy,
        theta: Params,
        *,
        deterministic: bool = False,
        noise_exponent: float = 0.0,
        widest_noise: float = 1.0,
    ) -> None:
        self.policy, self.theta = policy, theta
        self.deterministic, self.noise_exponent, self.widest_noise = deterministic, noise_exponent, widest_noise

    @property
    def noise_dim(self) -> int:
        return 0 if self.deterministic else self.policy.action_dim

    def start(self, phis: Sequence[Params], lanes_per_job: int) -> None:
        return None

    def act(self, memory: None, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, None]:
        dist = self.policy.dist(self.theta, inputs.obs)
        return *dist.act(noise, deterministic=self.deterministic), None


@dataclass(frozen=True)
class SquashedBehaviour:
    """An RLBehaviour that adapts nothing: the task is in what it observes. theta acts on raw observations."""

    spec: EnvSpec
    policy: SquashedPolicy
    theta: Params
    version: int
    exploration: ExplorationConfig = ExplorationConfig()
    widest_noise: float = 1.0
    explored: frozenset[str] | None = None
    """Classes of tasks that are explored by this policy; those of others by random actions. None: all."""
    keeps_memory = False
    adaptation_rounds = 0

    def prior(self) -> Params:
        return {}

    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        check_episodes(supports)
        return list(phis)

    def actor(self, *, deterministic: bool = False) -> SquashedActor:
        return SquashedActor(self.policy, self.theta, deterministic=deterministic)

    def explorer(self) -> SquashedActor:
        return self._explorer(self.theta)

    def explorer_of(self, tasks: Sequence[Task]) -> SquashedActor:
        if self.explored is None or any(task.stratum in self.explored for task in tasks):
            return self.explorer()
        # mean 0 and std 1 before tanh, whatever the state
        return self._explorer({name: torch.zeros_like(p) for name, p in self.theta.items()})

    def _explorer(self, theta: Params) -> SquashedActor:
        return SquashedActor(
            self.policy,
            theta,
            noise_exponent=self.exploration.exponent_at(self.version),
            widest_noise=self.widest_noise,
        )
