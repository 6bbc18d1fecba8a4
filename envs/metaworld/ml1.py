"""ML1: one Meta-World task, 50 goals to meta-train on, 50 others to adapt to; the goal is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from metarl.config import OF_TRAINING
from metarl.envs.metaworld.goals import UNUSED_SEED, Split, check_task_name, ml1_goals, other_goals
from metarl.envs.metaworld.misplaced import PARAM, misplace
from metarl.envs.metaworld.spec import SPEC, RewardVersion, Stepping, make_lanes, sample_by_class, task_like
from metarl.envs.metaworld.with_ids import Filmed
from metarl.rollout.lanes import LoopedLanes
from metarl.tasks import check_disjoint, check_like
from metarl.types import EnvSpec, Task
from metarl.validate import Checked, Natural, NotNegative


@dataclass(frozen=True, kw_only=True)
class ML1(Filmed, Checked):
    """Meta-World's ML1 benchmark (Yu et al. 2019) for any of its 50 tasks."""

    env_name: str = "reach-v3"
    goals_seed: Natural = 42
    """Of metaworld's goal lists: the benchmark, not the run."""
    reward_version: RewardVersion = "v2"
    stepping: Stepping = field(default="fast", metadata={OF_TRAINING: True})
    object_jitter: NotNegative = field(default=0.0, metadata={OF_TRAINING: True})
    """Metres: in meta-training an object is seen a constant off, N(0, this^2) in x and y, new for each trial (see
    `misplaced`); held-out tasks are shown as they are. Not part of Meta-World's protocol."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_task_name(self.env_name)

    @cached_property
    def _split(self) -> Split:
        split = ml1_goals(self.env_name, seed=self.goals_seed)
        check_disjoint(split.train, split.test)
        return split

    def __getstate__(self) -> dict[str, object]:
        # a worker is told each job's goal and never needs the lists
        return {name: value for name, value in self.__dict__.items() if name != "_split"}

    @property
    def name(self) -> str:
        return f"ml1-{self.env_name}"

    @property
    def spec(self) -> EnvSpec:
        return SPEC

    def meta_train(self) -> list[Task]:
        return list(self._split.train)

    def meta_test(self) -> list[Task]:
        return list(self._split.test)

    def meta_val(self) -> list[Task]:
        """Goals of another draw from the same place, which are neither trained nor tested on."""
        return other_goals(ml1_goals(self.env_name, seed=self.goals_seed + UNUSED_SEED).train)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Different meta-train goals, uniformly."""
        tasks = sample_by_class(self._split.train, num_tasks, rng=rng)
        return misplace(tasks, self.object_jitter, rng=rng) if self.object_jitter else tasks

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task of these params, `env_name` and `rand_vec`, in one of the benchmark's classes. Raises UserError."""
        known = [*self._split.train, *self._split.test]
        if not (self.object_jitter and PARAM in params):
            return task_like(params, known)
        check_like(params[PARAM], [0.0, 0.0], what=PARAM)
        task = task_like({name: value for name, value in params.items() if name != PARAM}, known)
        return replace(task, params={**task.params, PARAM: params[PARAM]})

    def make_env(self, num_lanes: int) -> LoopedLanes:
        return make_lanes(
            num_lanes,
            stepping=self.stepping,
            reward_version=self.reward_version,
            misplaced=self.object_jitter > 0,
        )
