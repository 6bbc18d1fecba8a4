"""The protocol between a meta-learning algorithm and everything around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from metarl.rollout.actor import Actor
from metarl.types import EnvSpec, Metrics, Phi, TaskData


class MetaLearner(Protocol):
    """theta is what the learner holds; phi is what it makes of one task's data.

    One protocol for fast weights (MAML), memory (RL²) and prototypes (few-shot): phi is whatever `adapt` returns.
    """

    def prior(self) -> Phi:
        """phi before any data of the task."""
        ...

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Any]) -> list[Phi]:
        """The next phi of each task from its support data; fast, without side effect, theta untouched.

        Many tasks at once because batched inner loops are several times faster than one after another.
        """
        ...

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Learn across tasks: the one place where theta changes."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors and JSON values: theta, the meta-optimizer's state, nothing that follows from the config."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class RLMetaLearner(MetaLearner, Protocol):
    """A MetaLearner whose data are episodes, with the policy that takes them."""

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
