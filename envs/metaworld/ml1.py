"""ML1: one Meta-World task, 50 goals to meta-train on, 50 others to adapt to; the goal is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from envs.metaworld.goals import Split, check_task_name, ml1_goals
from metarl.errors import UserError
from metarl.rollout.batch_env import LoopedLanes
from metarl.tasks import check_disjoint
from metarl.types import EnvSpec, Task
from metarl.validate import check_range

Stepping = Literal["fast", "metaworld"]

SPEC = EnvSpec(obs_dim=39, action_dim=4, horizon_steps=500)
"""obs: hand, gripper and objects, now (18) and a step before (18), and the goal (3), zero where it is hidden."""


@dataclass(frozen=True, kw_only=True)
class ML1:
    """Meta-World's ML1 benchmark (Yu et al. 2019) for any of its 50 tasks."""

    env_name: str = "reach-v3"
    goals_seed: int = 42
    """Of metaworld's goal lists: the benchmark, not the run."""
    reward_version: Literal["v1", "v2"] = "v2"
    stepping: Stepping = "fast"
    """`fast`: our stepping of the same physics; `metaworld`: the package's own, about four times slower."""

    def __post_init__(self) -> None:
        check_task_name(self.env_name)
        check_range(self, "goals_seed", low=0)

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

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Different meta-train goals, uniformly."""
        if num_tasks > len(self._split.train):
            raise UserError(
                f"meta_batch_size={num_tasks} exceeds the {len(self._split.train)} meta-train goals; lower it"
            )
        return [self._split.train[i] for i in rng.choice(len(self._split.train), num_tasks, replace=False)]

    def make_env(self, num_lanes: int) -> LoopedLanes:
        from envs.metaworld.lanes import fast_lanes, reference_lanes  # imports metaworld: 0.5 s, workers only

        make = fast_lanes if self.stepping == "fast" else reference_lanes
        return LoopedLanes(make(reward_version=self.reward_version), num_lanes, SPEC)
