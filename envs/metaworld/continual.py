"""Continual World: Meta-World's tasks one after another, by one agent (Wołczyk et al. 2021, arXiv 2105.10919).

CW10 and CW20 have the paper's order and its budget of 1M env steps a task. As there, each place of the sequence has an
id of its own, shown one-hot, so that CW20 meets each task twice under two ids; each episode has another of the class's
50 goals. Deviations, none of which leaves published numbers comparable:

- the tasks are Meta-World's v3 (metaworld 3.1.1), with its rewards, its success and its 39 observations; the paper's
  are v1, whose 12 observations hide the goal. Here the goal is shown, as in MT10;
- episodes have Meta-World's 500 steps; `horizon_steps=200` is the paper's;
- the goals are MT1's lists of each task, and the paper drew its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np

from metarl.config import OF_TRAINING
from metarl.envs.metaworld.goals import check_task_name, ml1_goals
from metarl.envs.metaworld.spec import SPEC, RewardVersion, Stepping, sample_by_class, task_like
from metarl.envs.metaworld.with_ids import WithIds
from metarl.errors import UserError
from metarl.types import Task
from metarl.validate import Bounds, Checked, Count, Natural

CW10 = (
    "hammer-v3",
    "push-wall-v3",
    "faucet-close-v3",
    "push-back-v3",
    "stick-pull-v3",
    "handle-press-side-v3",
    "push-v3",
    "shelf-place-v3",
    "window-close-v3",
    "peg-unplug-side-v3",
)
SEQUENCES = {"CW10": CW10, "CW20": CW10 + CW10}


@dataclass(frozen=True, kw_only=True)
class ContinualWorld(WithIds, Checked):
    """A sequence of tasks. Its test is on all of them, whichever is trained on."""

    sequence: Literal["CW10", "CW20", "custom"] = "CW10"
    env_names: tuple[str, ...] = ()
    """Tasks of `custom`, in their order; one task alone is what forward transfer is measured against."""
    steps_per_task: Count = field(default=1_000_000, metadata={OF_TRAINING: True})
    """Env steps of training on each task, before the next one begins."""
    horizon_steps: Annotated[int, Bounds(least=1, most=SPEC.horizon_steps)] = SPEC.horizon_steps
    """Of an episode; the paper has 200."""
    goals_seed: Natural = 42
    """Of metaworld's goal lists: the benchmark, not the run."""
    reward_version: RewardVersion = "v2"
    stepping: Stepping = field(default="fast", metadata={OF_TRAINING: True})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.env_names:
            check_task_name(name)
        if bool(self.env_names) != (self.sequence == "custom"):
            raise UserError(
                f"sequence={self.sequence!r} with env_names={self.env_names}: name tasks for 'custom', and none for "
                "the others"
            )

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Of each place of the sequence, in the order of the one-hot ids; a second visit is told by its number."""
        names = self.env_names or SEQUENCES[self.sequence]
        visits = [names[: place + 1].count(name) for place, name in enumerate(names)]
        return tuple(name if n == 1 else f"{name}/{n}" for name, n in zip(names, visits, strict=True))

    @cached_property
    def _tasks(self) -> list[Task]:
        return [
            replace(
                goal,
                id=goal.id.replace(goal.stratum, name, 1),
                params={**goal.params, "place": place},
                stratum=name,
            )
            for place, name in enumerate(self.class_names)
            for goal in ml1_goals(name.partition("/")[0], seed=self.goals_seed).train
        ]

    @property
    def name(self) -> str:
        return self.sequence.lower()

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Of all places; a run of the sequence has `sample_at`."""
        return sample_by_class(self._tasks, num_tasks, rng=rng)

    def sample_at(self, place: int, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Different goals of one place of the sequence."""
        of_place = [task for task in self._tasks if task.params["place"] == place]
        return sample_by_class(of_place, num_tasks, rng=rng)

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task of these params, `env_name`, `rand_vec` and `place`, in one of the places. Raises UserError."""
        place = params.get("place")
        of_place = [task for task in self._tasks if task.params["place"] == place]
        if not of_place:
            raise UserError(f"place={place!r} is none of {self.name}; give 0 to {len(self.class_names) - 1}")
        return replace(task_like(params, of_place), stratum=of_place[0].stratum)
