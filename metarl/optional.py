"""What a task distribution may offer besides `TaskDistribution`: a command that needs it checks with isinstance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl.seeding import SeedKey
from metarl.types import Task


@runtime_checkable
class MakesTask(Protocol):
    def task(self, params: Mapping[str, Any]) -> Task:
        """The task with these parameters; raises UserError for others than its own."""
        ...


@runtime_checkable
class Replays(Protocol):
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
    def gym_env(self, task: Task) -> gym.Env:
        """The task as the gymnasium env that it was made from."""
        ...
