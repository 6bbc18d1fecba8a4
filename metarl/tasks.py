"""Task distributions: where tasks come from, and the guard between meta-train and meta-test."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.seeding import SeedKey, Stream, numpy_rng
from metarl.types import EnvSpec, Task

if TYPE_CHECKING:
    import gymnasium as gym

Lanes = NDArray[np.intp]
"""Indices of the lanes (parallel episodes) that a call is about."""


class EnvStep(NamedTuple):
    """What a step of the named lanes gave; every array has one row a lane."""

    obs: NDArray[np.floating]  # (L, O)
    rewards: NDArray[np.floating]  # (L,)
    terminated: NDArray[np.bool_]  # (L,)
    truncated: NDArray[np.bool_]  # (L,)
    success: NDArray[np.bool_]  # (L,)


class BatchEnv(Protocol):
    """Lanes 0..num_lanes-1, each with its own task and episode. Returned arrays may be reused at the next call."""

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        """Start an episode in each of `lanes`; returns obs (L, O)."""
        ...

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        """Step the named lanes by actions (L, A), or (L,) for discrete ones."""
        ...

    def close(self) -> None: ...


class TaskDistribution(Protocol):
    """A family of tasks that share one EnvSpec. It is pickled to the workers: keep it small and plain."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> EnvSpec: ...

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Meta-training tasks; all randomness comes from `rng`."""
        ...

    def meta_test(self) -> list[Task]:
        """The fixed held-out tasks, the same list at every call."""
        ...

    def make_env(self, num_lanes: int) -> BatchEnv:
        """Environments for `num_lanes` episodes in lockstep; called inside each worker."""
        ...


def check_fits(spec: EnvSpec, tasks: TaskDistribution, *, made_for: str) -> None:
    """Raise UserError where a policy for `spec` cannot act in the environments of `tasks`."""
    a, b = ((s.obs_dim, s.action_dim, "discrete" if s.discrete else "continuous") for s in (spec, tasks.spec))
    if a != b:
        raise UserError(
            f"the policy is made for {made_for}, with {a[0]} observations and {a[1]} {a[2]} actions, and {tasks.name} "
            f"has {b[0]} and {b[1]} {b[2]}; give an env of the same spaces"
        )


def by_class(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each class (`Task.stratum`), classes and tasks in the order in which they come."""
    classes: dict[str, list[Task]] = {}
    for task in tasks:
        classes.setdefault(task.stratum, []).append(task)
    return classes


def params_key(task: Task) -> str:
    """Equal for tasks with equal parameters, whatever their ids."""
    return json.dumps(task.params, sort_keys=True)


def check_disjoint(others: Sequence[Task], meta_test: Sequence[Task], *, split: str = "meta-train") -> None:
    """Raise UserError naming a task that stands in both lists: its score would be memory, not adaptation."""
    seen = {params_key(task): task.id for task in others}
    for task in meta_test:
        if (twin := seen.get(params_key(task))) is not None:
            raise UserError(
                f"meta-test task {task.id!r} equals {split} task {twin!r} ({params_key(task)}); "
                "the splits must be disjoint: remove it from one of them"
            )


@runtime_checkable
class HasMetaTrain(Protocol):
    """A distribution with fixed training tasks."""

    def meta_train(self) -> list[Task]:
        """The fixed training tasks, the same list at every call; empty where each is a new draw."""
        ...


@runtime_checkable
class HasVal(Protocol):
    """A distribution with tasks to choose settings by."""

    def meta_val(self) -> list[Task]:
        """Tasks to choose settings by, the same list at every call: none that is trained or tested on."""
        ...


VAL_TASKS = 50
"""Of a distribution whose training tasks are new draws each time."""


def val_tasks(tasks: TaskDistribution) -> list[Task]:
    """What settings are chosen by, so that the held-out tasks stay what nothing was chosen by.

    Without a `meta_val()` of its own they are draws that meta-training does not make again. Raises UserError where the
    tasks are so few that it would, or where one is tested on.
    """
    if isinstance(tasks, HasVal):
        found = tasks.meta_val()
    elif isinstance(tasks, HasMetaTrain) and tasks.meta_train():
        found = []
    else:
        found = tasks.sample(VAL_TASKS, rng=numpy_rng((0, Stream.VALIDATE)))
    if not found or len({params_key(task) for task in found}) < len(found):
        raise UserError(
            f"{tasks.name} has no tasks to choose settings by, since those that it has are all trained or tested on; "
            "give it a meta_val() that returns some others, or choose on another distribution"
        )
    check_disjoint(found, tasks.meta_test(), split="validation")
    return found


@runtime_checkable
class MakesTask(Protocol):
    """A distribution that makes a task from its parameters."""

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task with these parameters; raises UserError for others than its own."""
        ...


@runtime_checkable
class Replays(Protocol):
    """A distribution whose episodes can be drawn."""

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode, (about size, width, 3): those of the steps that `is_shown`."""
        ...


def is_shown(step: int, num_steps: int, every: int) -> bool:
    """The start (step 0), every so many steps, and the end; a frame without a GPU takes longer than many steps."""
    return step % every == 0 or step == num_steps


@runtime_checkable
class HasGymEnv(Protocol):
    """A distribution over a gymnasium env."""

    def gym_env(self, task: Task) -> gym.Env:
        """The task as the gymnasium env that it was made from."""
        ...


@runtime_checkable
class ShowsTask(Protocol):
    """A distribution that may show the task in the observation."""

    def shown(self, task: Task) -> Sequence[float]:
        """What stands at the end of each observation and sets the task apart; empty where it is hidden."""
        ...


@runtime_checkable
class ConvertsSpaces(Protocol):
    """A distribution whose env has spaces of its own."""

    def conversions(self) -> tuple[Callable[[Any], NDArray], Callable[[NDArray], Any]]:
        """(the env's own observation -> (O,), the policy's action -> the env's own)."""
        ...


def check_like(params: Any, example: Any, *, what: str = "params") -> None:
    """Raises ValueError where names, lengths of lists, or kinds of values differ from those of `example`."""
    if isinstance(example, Mapping):
        if not isinstance(params, Mapping):
            raise ValueError(f"{what} must hold {', '.join(example)}")
        if wrong := sorted(example.keys() ^ params.keys()):
            raise ValueError(f"{', '.join(map(repr, wrong))} missing or unknown")
        for name, value in example.items():
            check_like(params[name], value, what=name)
    elif isinstance(example, (list, tuple)):
        if not isinstance(params, (list, tuple)) or len(params) != len(example):
            raise ValueError(f"{what}={params!r} must be a list of {len(example)}")
        for value, other in zip(params, example, strict=True):
            check_like(value, other, what=f"a part of {what}")
    elif isinstance(example, (int, float)):
        is_number = isinstance(params, (int, float)) and not isinstance(params, bool)
        if not (is_number and math.isfinite(params)):
            raise ValueError(f"{what}={params!r} must be a finite number")
