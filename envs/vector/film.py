"""Frames of an episode while it goes on: another env of the same task and seed follows it, and is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.seeding import SeedKey
from metarl.tasks import Replays
from metarl.types import Task

_LAST_ONLY = 1 << 30
"""`every` of a replay whose first and last frame alone are drawn."""


class Film:
    """An env's episode, drawn when asked for. A frame costs what was stepped since the one before."""

    def __init__(self, tasks: Replays, *, size: int) -> None:
        self._tasks, self._size = tasks, size
        self._frames: Iterator[NDArray[np.uint8]] = iter(())
        self._actions: Any = []  # a replay walks through it while it grows
        self._drawn, self._frame = -1, np.zeros((size, size, 3), np.uint8)
        self._episode: tuple[Task, SeedKey] | None = None

    def begin(self, task: Task, seed: SeedKey) -> None:
        self._episode, self._actions, self._drawn = (task, seed), [], -1

    def step(self, action: NDArray) -> None:
        self._actions.append(action.copy())

    def frame(self) -> NDArray[np.uint8]:
        """(size, size, 3), as the episode stands."""
        if self._drawn < 0:
            self._frame = self._start()
        if self._drawn < len(self._actions):
            try:
                self._frame = next(self._frames)
            except StopIteration:  # it took the actions when it was begun, and knows of no later ones
                self._start()
                self._frame = next(self._frames)
            self._drawn = len(self._actions)
        return self._frame.copy()

    def close(self) -> None:
        """Let go of the env that follows, and of its GL."""
        self._frames = iter(())

    def _start(self) -> NDArray[np.uint8]:
        if self._episode is None:
            raise UserError("an env is drawn before its first reset; call reset first")
        task, seed = self._episode
        self._frames = self._tasks.replay(task, seed, self._actions, size=self._size, every=_LAST_ONLY)
        self._drawn = 0
        return next(self._frames)
