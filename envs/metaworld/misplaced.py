"""Objects that are seen a constant off from where they are: meta-training tasks that are not told apart by a glance.

Each of a class's 50 training tasks has one goal and one place of the object. A memory that learns which object lies
where need not look for the goal at all; it is then lost among new tasks (experiments/LOG.md). Held-out tasks are
shown as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from metarl.rollout.lanes import LaneEnv, LaneStep
from metarl.seeding import SeedKey
from metarl.types import Task

PARAM = "object_offset"
"""Of a task: metres, (x, y)."""
_FRAME = 18
_OBJECT_XY = np.array([4, 5, _FRAME + 4, _FRAME + 5])
"""Of the first object, in the present frame and in the one before."""


def misplace(tasks: Sequence[Task], std: float, *, rng: np.random.Generator) -> list[Task]:
    """The tasks with an offset each, N(0, std^2) in x and in y; the table is flat, so z stays."""
    offsets = rng.normal(0.0, std, (len(tasks), 2)).tolist()
    return [replace(task, params={**task.params, PARAM: offset}) for task, offset in zip(tasks, offsets, strict=True)]


class MisplacedObjectLane:
    """A lane that adds the task's offset, if it has one, to where the first object is seen."""

    def __init__(self, lane: LaneEnv) -> None:
        self._lane = lane
        self._offset = np.zeros(4)

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        self._offset = np.tile(task.params.get(PARAM, (0.0, 0.0)), 2)
        return self._shifted(self._lane.reset(task, seed))

    def step(self, action: NDArray) -> LaneStep:
        step = self._lane.step(action)
        return step._replace(obs=self._shifted(step.obs))

    def close(self) -> None:
        self._lane.close()

    def _shifted(self, obs: NDArray[np.floating]) -> NDArray[np.floating]:
        obs = obs.copy()  # the lane's own buffer holds the previous frame of its next step
        obs[_OBJECT_XY] += self._offset
        return obs
