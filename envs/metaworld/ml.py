"""ML10, ML25, ML45 and sets of your own: meta-train on some classes of tasks, adapt to others; goals hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np

from metarl.config import OF_TRAINING
from metarl.envs.metaworld.goals import (
    UNUSED_SEED,
    Split,
    benchmark_goals,
    check_task_name,
    custom_goals,
    other_goals,
)
from metarl.envs.metaworld.spec import SPEC, RewardVersion, Stepping, make_lanes, sample_by_class, task_like
from metarl.envs.metaworld.with_ids import Filmed
from metarl.errors import UserError
from metarl.rollout.lanes import LoopedLanes
from metarl.tasks import check_disjoint
from metarl.types import EnvSpec, Task
from metarl.validate import Bounds, Checked, Natural


@dataclass(frozen=True, kw_only=True)
class ML(Filmed, Checked):
    """A Meta-World benchmark of several classes (Yu et al. 2019; McLean et al. 2025 for ML25)."""

    benchmark: Literal["ML10", "ML25", "ML45", "custom"] = "ML10"
    train_names: tuple[str, ...] = ()
    """Classes of `custom`, such as ('reach-v3', 'push-v3')."""
    test_names: tuple[str, ...] = ()
    """Classes of `custom`; a class may stand in both, its goals then differ."""
    goals_per_test_class: Annotated[int, Bounds(least=1, most=50)] = 40
    """Of 50; Meta-World's documented protocol takes 40."""
    goals_seed: Natural = 42
    """Of metaworld's goal lists: the benchmark, not the run."""
    reward_version: RewardVersion = "v2"
    stepping: Stepping = field(default="fast", metadata={OF_TRAINING: True})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*self.train_names, *self.test_names):
            check_task_name(name)
        named = bool(self.train_names and self.test_names)
        if named != (self.benchmark == "custom"):
            raise UserError(
                f"benchmark={self.benchmark!r} with train_names={self.train_names} and test_names={self.test_names}: "
                "name both for 'custom', and neither for the others"
            )

    @cached_property
    def _split(self) -> Split:
        if self.benchmark == "custom":
            split = custom_goals(self.train_names, self.test_names, seed=self.goals_seed)
        else:
            split = benchmark_goals(self.benchmark, seed=self.goals_seed)
        check_disjoint(split.train, split.test)
        return split

    def __getstate__(self) -> dict[str, object]:
        # a worker is told each job's goal and never needs the lists
        return {name: value for name, value in self.__dict__.items() if name != "_split"}

    @property
    def name(self) -> str:
        return self.benchmark.lower()

    @property
    def spec(self) -> EnvSpec:
        return SPEC

    def overlapping_classes(self) -> list[str]:
        """Test classes that are trained on as well, with other goals: basketball in ML25, by metaworld's own lists."""
        trained = {task.params["env_name"] for task in self._split.train}
        return list(dict.fromkeys(t.params["env_name"] for t in self._split.test if t.params["env_name"] in trained))

    def meta_train(self) -> list[Task]:
        return list(self._split.train)

    def meta_test(self) -> list[Task]:
        """The first `goals_per_test_class` goals of each test class."""
        taken: dict[str, int] = {}
        kept = []
        for task in self._split.test:
            taken[task.params["env_name"]] = count = taken.get(task.params["env_name"], 0) + 1
            if count <= self.goals_per_test_class:
                kept.append(task)
        return kept

    def meta_val(self) -> list[Task]:
        """Other goals of the classes that are trained on: no class and no goal of the test."""
        seed = self.goals_seed + UNUSED_SEED
        if self.benchmark == "custom":
            return other_goals(custom_goals(self.train_names, (), seed=seed).train, per_class=10)
        return other_goals(benchmark_goals(self.benchmark, seed=seed).train, per_class=10)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Meta-train goals, each class the same number of times as far as that divides."""
        return sample_by_class(self._split.train, num_tasks, rng=rng)

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task of these params, `env_name` and `rand_vec`, in one of the benchmark's classes. Raises UserError."""
        return task_like(params, [*self._split.train, *self._split.test])

    def make_env(self, num_lanes: int) -> LoopedLanes:
        return make_lanes(num_lanes, stepping=self.stepping, reward_version=self.reward_version)
