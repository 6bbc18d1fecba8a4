"""MT1, MT10, MT25 and MT50: many tasks at once with goal and task id shown; nothing is held out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np

from metarl.config import OF_TRAINING
from metarl.envs.metaworld.goals import benchmark_goals, check_task_name, ml1_goals
from metarl.envs.metaworld.spec import SPEC, RewardVersion, Stepping, sample_by_class, task_like
from metarl.envs.metaworld.with_ids import WithIds
from metarl.tasks import by_class
from metarl.types import Task
from metarl.validate import Bounds, Checked, Natural


@dataclass(frozen=True, kw_only=True)
class MT(WithIds, Checked):
    """A multi-task benchmark. Its test is on the tasks that were trained on, as Meta-World defines it."""

    benchmark: Literal["MT1", "MT10", "MT25", "MT50"] = "MT10"
    env_name: str = "reach-v3"
    """The class of MT1."""
    goals: Literal["random", "fixed"] = "random"
    """random: 50 of each class, as Meta-World has them. fixed: the first of them alone, a goal a class for training and
    test. That is another and easier benchmark: each class is then one task, which can be learned by heart."""
    horizon_steps: Annotated[int, Bounds(least=1, most=SPEC.horizon_steps)] = SPEC.horizon_steps
    """Of an episode; Meta-World has 500, and several papers 200."""
    goals_seed: Natural = 42
    """Of metaworld's goal lists: the benchmark, not the run."""
    reward_version: RewardVersion = "v2"
    stepping: Stepping = field(default="fast", metadata={OF_TRAINING: True})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_task_name(self.env_name)

    @cached_property
    def _tasks(self) -> list[Task]:
        if self.benchmark == "MT1":
            # MT1's train goals are ML1's: both draw them with the same seed
            tasks = ml1_goals(self.env_name, seed=self.goals_seed).train
        else:
            tasks = benchmark_goals(self.benchmark, seed=self.goals_seed).train
        return tasks if self.goals == "random" else [first for first, *_ in by_class(tasks).values()]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """In metaworld's order, which is that of the one-hot ids."""
        if self.benchmark == "MT1":
            return (self.env_name,)
        env_dict = importlib.import_module("metaworld.env_dict")  # 0.5 s, and the goals would be 10
        return tuple(vars(env_dict)[f"{self.benchmark}_V3"])

    @property
    def name(self) -> str:
        env_name = f"-{self.env_name}" if self.benchmark == "MT1" else ""
        return self.benchmark.lower() + env_name + ("-fixed-goals" if self.goals == "fixed" else "")

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return sample_by_class(self._tasks, num_tasks, rng=rng)

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task of these params, `env_name` and `rand_vec`, in one of the benchmark's classes. Raises UserError."""
        return task_like(params, self._tasks)
