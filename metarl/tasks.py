"""Task distributions: where tasks come from, and the guard between meta-train and meta-test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from metarl.errors import UserError
from metarl.rollout.batch_env import BatchEnv
from metarl.types import EnvSpec, Task


class TaskDistribution(Protocol):
    """A family of tasks that share one EnvSpec. It is pickled to the workers: keep it small and plain."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> EnvSpec: ...

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Meta-training tasks; all randomness comes from `rng`."""
        ...

    def meta_test(self) -> list[Task]:
        """The fixed held-out tasks, the same list at every call."""
        ...

    def make_env(self, num_lanes: int) -> BatchEnv:
        """Environments for `num_lanes` episodes in lockstep; called inside each worker."""
        ...


def check_fits(spec: EnvSpec, tasks: TaskDistribution, *, made_for: str) -> None:
    """Raise UserError where a policy for `spec` cannot act in the environments of `tasks`."""
    a, b = ((s.obs_dim, s.action_dim, "discrete" if s.discrete else "continuous") for s in (spec, tasks.spec))
    if a != b:
        raise UserError(
            f"the policy is made for {made_for}, with {a[0]} observations and {a[1]} {a[2]} actions, and {tasks.name} "
            f"has {b[0]} and {b[1]} {b[2]}; give an env of the same spaces"
        )


def params_key(task: Task) -> str:
    """Equal for tasks with equal parameters, whatever their ids."""
    return json.dumps(task.params, sort_keys=True)


def check_disjoint(meta_train: Sequence[Task], meta_test: Sequence[Task]) -> None:
    """Raise UserError naming a task that stands in both lists: its score would be memory, not adaptation."""
    seen = {params_key(task): task.id for task in meta_train}
    for task in meta_test:
        if (twin := seen.get(params_key(task))) is not None:
            raise UserError(
                f"meta-test task {task.id!r} equals meta-train task {twin!r} ({params_key(task)}); "
                "the splits must be disjoint: remove it from one of them"
            )
