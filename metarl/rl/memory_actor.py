"""The rollout side of RL²: each lane carries its memory on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from metarl.learn import params as P
from metarl.learner import ActorInput
from metarl.rl.distributions import ActionDistribution
from metarl.types import EnvSpec, Params


class TrialPolicy(Protocol):
    """What acting in trials takes of a policy; see `RecurrentPolicy`."""

    @property
    def spec(self) -> EnvSpec: ...

    def encode_transitions(self, actions: Tensor, rewards: Tensor, ended: Tensor) -> Tensor: ...

    def for_acting(self, params: Params, state: Tensor) -> Any:
        """What `act` carries on instead of the state (L, S)."""
        ...

    def act(self, params: Params, obs: Tensor, previous: Tensor, carried: Any) -> tuple[ActionDistribution, Any]: ...


class ActorMemory(NamedTuple):
    carried: Any  # by the policy, made of the states (L, S)
    previous: Tensor | None  # (L, A + 2) the transition before the job's first step, None after it


class RL2Actor:
    """Carries each lane's memory on from its job's phi; theta is the same for all."""

    def __init__(self, policy: TrialPolicy, theta: Params, *, deterministic: bool = False) -> None:
        self.policy, self.theta, self.deterministic = policy, theta, deterministic

    @property
    def noise_dim(self) -> int:
        return 0 if self.deterministic else self.policy.spec.action_dim

    @property
    def uniform_noise(self) -> bool:
        return self.policy.spec.discrete

    def start(self, phis: Sequence[Params], lanes_per_job: int) -> ActorMemory:
        lanes = {name: p.repeat_interleave(lanes_per_job, dim=0) for name, p in P.stack(phis).items()}
        return ActorMemory(self.policy.for_acting(self.theta, lanes["state"]), lanes["previous"])

    def act(self, memory: ActorMemory, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, ActorMemory]:
        previous = memory.previous
        if previous is None:
            previous = self.policy.encode_transitions(inputs.prev_actions, inputs.prev_rewards, inputs.prev_ended)
        dist, carried = self.policy.act(self.theta, inputs.obs, previous, memory.carried)
        actions = dist.mode() if self.deterministic else dist.sample(noise)
        return actions, dist.log_prob(actions), ActorMemory(carried, None)
