"""The protocols between a meta-learning algorithm and everything around it: acting, adapting, learning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from metarl.types import EnvSpec, Episodes, Metrics, Phi, Task, TaskData

Memory = Any
"""What an actor carries from step to step: stacked parameters (MAML), recurrent state (RL²)."""

CPU = torch.device("cpu")
"""Where a learner computes unless told otherwise."""


class ActorInput(NamedTuple):
    """One row a lane; the previous transition is the real one, zeros at the start of a job."""

    obs: Tensor  # (L, O)
    prev_actions: Tensor  # (L, A), or (L,) int64
    prev_rewards: Tensor  # (L,)
    prev_ended: Tensor  # (L,) bool: the previous transition ended an episode


class Actor(Protocol):
    """Picklable; sent to the workers with each call of the pool."""

    @property
    def noise_dim(self) -> int:
        """Random numbers an action takes; 0 for a deterministic actor."""
        ...

    @property
    def uniform_noise(self) -> bool:
        """U(0, 1) rather than N(0, 1)."""
        ...

    def start(self, phis: Sequence[Phi], lanes_per_job: int) -> Memory:
        """Lanes are ordered by job: lanes_per_job lanes for each phi."""
        ...

    def act(self, memory: Memory, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """noise (L, noise_dim) -> actions (L, A) or (L,) int64, log_probs (L,), the next memory."""
        ...


@runtime_checkable
class BeginsEpisodes(Protocol):
    """What an actor may do besides: something at the beginning of each episode, as PEARL draws a latent there."""

    @property
    def episode_noise_dim(self) -> int:
        """N(0, 1) numbers that the beginning of an episode takes."""
        ...

    def begin(self, memory: Memory, lanes: Tensor, noise: Tensor) -> Memory:
        """lanes (L,) int64 that begin an episode, noise (L, episode_noise_dim) -> the next memory of all lanes."""
        ...


@runtime_checkable
class ColoursNoise(Protocol):
    """What an actor may have besides: noise over an episode that is correlated in time, by `exploration_noise.py`."""

    @property
    def noise_exponent(self) -> float:
        """0 is white noise."""
        ...


@runtime_checkable
class WidensNoise(Protocol):
    """What an actor of an off-policy agent may have besides: episodes that explore more than the policy does."""

    @property
    def widest_noise(self) -> float:
        """Each episode's noise is multiplied by a number between 1 and this, log-uniform."""
        ...


class Behaviour(Protocol):
    """What a learner does with a task at one version of theta: frozen, picklable, apart from learning.

    theta is what it holds; phi is what it makes of one task's data: fast weights (MAML), memory (RL²), prototypes.
    """

    @property
    def version(self) -> int:
        """Meta-updates behind theta."""
        ...

    def prior(self) -> Phi:
        """phi before any data of the task."""
        ...

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Any]) -> list[Phi]:
        """The next phi of each task from its support data; fast, without side effect, theta untouched.

        Many tasks at once because batched inner loops are several times faster than one after another.
        """
        ...


class RLBehaviour(Behaviour, Protocol):
    """A Behaviour whose data are episodes, with the policy that takes them."""

    @property
    def spec(self) -> EnvSpec:
        """Of the environments that it was made for."""
        ...

    @property
    def adaptation_rounds(self) -> int:
        """Support sets a task is given in turn, each collected with the phi of the one before."""
        ...

    @property
    def keeps_memory(self) -> bool:
        """Episodes of a task run one after another with the actor's memory kept (RL²), not side by side."""
        ...

    def actor(self, *, deterministic: bool = False) -> Actor:
        """The policy for the rollout workers, to be used with each job's phi."""
        ...


@runtime_checkable
class Explores(Protocol):
    """What an RLBehaviour may do besides: collect with another actor than the one that is tested."""

    def explorer(self) -> Actor:
        """Takes the episodes that are learned from, in meta-training and in adapting."""
        ...


@runtime_checkable
class ExploresByTask(Explores, Protocol):
    """What an RLBehaviour may do besides: explore tasks that are new to it in another way."""

    def explorer_of(self, tasks: Sequence[Task]) -> Actor:
        """As `explorer`, for a batch of these tasks."""
        ...


@runtime_checkable
class ShowsMemory(Protocol):
    """What an RLBehaviour may do besides: let its memory, or its belief of the task, be looked at."""

    def memories(self, trials: Sequence[Episodes]) -> list[Tensor]:
        """Each task's memory (steps, M) after every step of its trial, which begins from the prior."""
        ...


B_co = TypeVar("B_co", bound=Behaviour, covariant=True)


class MetaLearner(Protocol[B_co]):
    """What changes theta. What acts or answers with it is a Behaviour, a value that later updates leave alone."""

    def behaviour(self) -> B_co:
        """With theta as it is now."""
        ...

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Learn across tasks: the one place where theta changes."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors and JSON values: theta, the meta-optimizer's state, nothing that follows from the config."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class KeepsReplay(Protocol):
    """What a learner does besides that learns from the batches of earlier meta-updates: a run stores them."""

    @property
    def replay_capacity(self) -> int:
        """Rows of each class of tasks; batches of which none is left are stored no longer."""
        ...

    @property
    def replay_is_on_disk(self) -> bool:
        """Whether its rows take no memory."""
        ...

    @property
    def replay_batches(self) -> int | None:
        """Of how many latest batches its replay is, where earlier ones were forgotten; None: of all."""
        ...

    def remember(self, batches: Iterable[Sequence[TaskData]]) -> None:
        """Take the stored batches back, oldest first, after `load_state_dict`. Raises UserError for too few."""
        ...


RLMetaLearner = MetaLearner[RLBehaviour]
