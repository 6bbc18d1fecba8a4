"""Methods that Meta-World's distributions share: films, and what those have in common that show a one-hot id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metarl.envs.metaworld.spec import SPEC, RewardVersion, Stepping, make_lanes, one_hot_id
from metarl.rollout.lanes import LoopedLanes
from metarl.seeding import SeedKey
from metarl.types import EnvSpec, Task


class Filmed:
    """Episodes that can be drawn."""

    if TYPE_CHECKING:
        reward_version: RewardVersion

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode, (size, size, 3)."""
        from metarl.envs.metaworld.replay import replay  # imports metaworld: 0.5 s

        return replay(task, actions, size=size, every=every, reward_version=self.reward_version)


class WithIds(Filmed):
    """Tasks that are trained on and tested on alike, with goal and one-hot id shown."""

    if TYPE_CHECKING:
        stepping: Stepping
        horizon_steps: int

        @property
        def class_names(self) -> tuple[str, ...]: ...

        @property
        def _tasks(self) -> list[Task]: ...

    def __getstate__(self) -> dict[str, object]:
        # a worker needs the names, not the goals
        return {**self.__dict__, "class_names": self.class_names, "_tasks": []}

    @property
    def spec(self) -> EnvSpec:
        """39 numbers with the goal, then the one-hot id of a class, or of a place in a sequence."""
        return replace(SPEC, obs_dim=SPEC.obs_dim + len(self.class_names), horizon_steps=self.horizon_steps)

    def meta_train(self) -> list[Task]:
        return list(self._tasks)

    def meta_test(self) -> list[Task]:
        """The training tasks: nothing is held out."""
        return list(self._tasks)

    def shown(self, task: Task) -> list[float]:
        """The one-hot id."""
        return one_hot_id(task, self.class_names).tolist()

    def make_env(self, num_lanes: int) -> LoopedLanes:
        return make_lanes(
            num_lanes,
            stepping=self.stepping,
            reward_version=self.reward_version,
            one_hot_names=self.class_names,
        )
