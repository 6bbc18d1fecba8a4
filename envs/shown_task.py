"""What sets a task apart, at the end of each observation: for agents that are told it, such as SAC.

A distribution with `show_task=True` is another problem than without it: its scores are not those of meta-learning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.seeding import SeedKey
from metarl.tasks import BatchEnv, EnvStep, Lanes
from metarl.types import EnvSpec, Task


def task_values(task: Task) -> list[float]:
    """All numbers among its params, in their order. Raises UserError for a param of another kind."""
    return list(_numbers(task.params, task))


def _numbers(value: Any, task: Task) -> Iterator[float]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _numbers(inner, task)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _numbers(inner, task)
    elif isinstance(value, (int, float)):
        yield float(value)
    else:
        raise UserError(
            f"show_task=True: a parameter of task {task.id!r} is {value!r:.60}, and only numbers can be shown; draw "
            "numbers, or leave show_task out"
        )


def with_shown_task(spec: EnvSpec, example: Task) -> EnvSpec:
    """The spec of the longer observation; all tasks have as many numbers as the example."""
    return replace(spec, obs_dim=spec.obs_dim + len(task_values(example)))


class ShownTaskLanes:
    """A BatchEnv whose observations end with the numbers of the lane's task."""

    def __init__(self, lanes: BatchEnv, num_lanes: int, num_values: int) -> None:
        self._lanes = lanes
        self._values = np.zeros((num_lanes, num_values))

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        for lane, task in zip(lanes.tolist(), tasks, strict=True):
            self._values[lane] = task_values(task)
        return self._shown(lanes, self._lanes.reset(lanes, tasks, seeds))

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        step = self._lanes.step(lanes, actions)
        return step._replace(obs=self._shown(lanes, step.obs))

    def _shown(self, lanes: Lanes, obs: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.concatenate([obs, self._values[lanes]], axis=1)

    def close(self) -> None:
        self._lanes.close()
