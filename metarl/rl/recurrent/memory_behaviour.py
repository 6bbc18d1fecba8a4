"""What acts and adapts by a memory (RL², Duan et al. 2016): each lane carries its memory on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learner import CPU, ActorInput
from metarl.rl.batch import stack_tasks
from metarl.rl.distributions import ActionDistribution
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.recurrent.recurrent_policy import RecurrentPolicy
from metarl.rl.recurrent.trials import Trials, join_episodes
from metarl.types import EnvSpec, Episodes, Params


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
    """What an actor with a memory carries from step to step."""

    carried: Any  # by the policy, made of the states (L, S)
    previous: Tensor | None  # (L, A + 2) the transition before the job's first step, None after it


class MemoryActor:
    """Carries each lane's memory on from its job's phi; theta is the same for all."""

    def __init__(
        self, policy: TrialPolicy, theta: Params, *, deterministic: bool = False, noise_exponent: float = 0.0
    ) -> None:
        self.policy, self.theta = policy, theta
        self.deterministic, self.noise_exponent = deterministic, noise_exponent

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


def checked_trials(episodes: Episodes) -> Trials:
    """A stack of tasks' episodes as trials. Raises NonFiniteError for a NaN or infinity in what a memory is fed."""
    trials = join_episodes(episodes)
    for name in ("obs", "rewards"):
        if not torch.isfinite(vars(trials)[name]).all():
            raise NonFiniteError(f"NaN or infinity in the {name} of a trial; theta was left as it was")
    return trials


def trial_inputs(policy: TrialPolicy, trials: Trials, previous: Tensor) -> tuple[Tensor, Tensor]:
    """What the memory saw at each step (B, L, I), and the transitions (B, L, A + 2) that followed.

    `previous` (B, A + 2) are the transitions before the trials.
    """
    transitions = policy.encode_transitions(trials.actions, trials.rewards, trials.ended)
    shifted = torch.cat([previous.unsqueeze(1), transitions[:, :-1]], dim=1)
    return torch.cat([trials.obs, shifted], dim=-1), transitions


def empty_memory(policy: RecurrentPolicy) -> Params:
    """phi of a new task: an empty memory, and no transition before."""
    return {"state": torch.zeros(policy.state_dim), "previous": torch.zeros(policy.previous_dim)}


@dataclass(frozen=True)
class MemoryBehaviour:
    """An RLBehaviour whose phi is a memory state and the last transition, on the CPU."""

    policy: RecurrentPolicy
    theta: Params
    version: int
    exploration: ExplorationConfig = ExplorationConfig()
    keeps_memory = True
    adaptation_rounds = 0  # a trial holds its own adaptation

    @property
    def spec(self) -> EnvSpec:
        return self.policy.spec

    def actor(self, *, deterministic: bool = False) -> MemoryActor:
        return MemoryActor(self.policy, P.to(P.detach(self.theta), CPU), deterministic=deterministic)

    def explorer(self) -> MemoryActor:
        actor = self.actor()
        actor.noise_exponent = self.exploration.exponent_at(self.version)
        return actor

    def prior(self) -> Params:
        return empty_memory(self.policy)

    @torch.no_grad()
    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        """Roll each task's memory over its support episodes, in the order in which they ran."""
        device = next(iter(self.theta.values())).device
        trials = checked_trials(stack_tasks(supports))
        phi = P.to(P.stack(phis), device)
        inputs, transitions = (x.to(device) for x in trial_inputs(self.policy, trials, P.stack(phis)["previous"]))
        states = torch.empty_like(phi["state"])
        for length in trials.lengths.unique().tolist():  # most often they are all alike
            rows = (trials.lengths == length).to(device)
            steps = inputs[rows, :length].transpose(0, 1)
            states[rows] = self.policy.sequence(self.theta, steps, phi["state"][rows])[1]
        if not torch.isfinite(states).all():
            raise NonFiniteError("NaN or infinity in the memory after the support episodes; lower reward_input_scale")
        last = transitions[torch.arange(len(states), device=device), trials.lengths.to(device) - 1]
        return P.unstack(P.to({"state": states, "previous": last}, CPU))

    @torch.no_grad()
    def memories(self, trials: Sequence[Episodes]) -> list[Tensor]:
        """What the memory gives out after each step of a trial from the prior, (steps, H) of each task."""
        joined, prior = checked_trials(stack_tasks(trials)), self.prior()
        inputs, _ = trial_inputs(self.policy, joined, prior["previous"].expand(len(trials), -1))
        theta = P.to(P.detach(self.theta), CPU)
        outputs, _ = self.policy.sequence(theta, inputs.transpose(0, 1), prior["state"].expand(len(trials), -1))
        return [outputs[:length, task] for task, length in enumerate(joined.lengths.tolist())]
