"""An env by itself as a task distribution: for `check-env`, and for `adapt` to an env of the same spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np

from metarl.envs.any_gym.horizon import Horizon, horizon_of
from metarl.envs.any_gym.inspect_env import inspect_env
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.make import accepts_keyword, made_env
from metarl.envs.any_gym.task_params import check_attribute, id_of, placed
from metarl.rollout.lanes import LoopedLanes
from metarl.types import EnvSpec, Task


@dataclass(frozen=True)
class OneTask:
    """An env by itself, without parameters that vary: enough for all checks but those that compare tasks."""

    reference: str

    @property
    def name(self) -> str:
        return self.reference

    @cached_property
    def horizon(self) -> Horizon:
        return horizon_of(self.reference)

    @cached_property
    def spec(self) -> EnvSpec:
        return self._inspect(Task(self.reference, {}))

    def _inspect(self, task: Task) -> EnvSpec:
        return inspect_env(self.reference, {}, [task], self.horizon.steps)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return [Task(self.reference, {})] * num_tasks

    def meta_test(self) -> list[Task]:
        return [Task(self.reference, {})]

    def task(self, params: Mapping[str, Any]) -> Task:
        """The env with these keywords of its constructor or, where it takes no such, attributes. Raises UserError.

        Groups of names, such as {"options": {...}}, are taken as they are.
        """
        groups = placed(params, lambda name: "kwargs" if accepts_keyword(self.reference, name) else "attributes")
        with made_env(self.reference, groups.get("kwargs", {})) as env:
            for name in groups.get("attributes", {}):
                check_attribute(self.reference, env, name, "fix the name in the task")
        task = Task(f"{self.reference}[{id_of(groups)}]", groups)
        self._inspect(task)
        return task

    def make_env(self, num_lanes: int) -> LoopedLanes:
        return LoopedLanes(lambda: GymLane(self.reference, {}), num_lanes, self.spec)

    def gym_env(self, task: Task) -> gym.Env:
        return GymLane(self.reference, {}).become(task.params)
