"""What all Meta-World distributions have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError, nearest
from metarl.tasks import by_class, check_like
from metarl.types import EnvSpec, Task

if TYPE_CHECKING:
    from metarl.rollout.lanes import LoopedLanes

Stepping = Literal["fast", "metaworld"]
"""`fast`: our stepping of the same physics; `metaworld`: the package's own, about four times slower."""

RewardVersion = Literal["v1", "v2"]

SPEC = EnvSpec(obs_dim=39, action_dim=4, horizon_steps=500, measures_success=True)
"""obs: hand, gripper and objects, now (18) and a step before (18), and the goal (3), zero where it is hidden."""


def sample_by_class(tasks: list[Task], num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
    """Different tasks, each class the same number of times as far as that divides; random classes for the rest."""
    if num_tasks > len(tasks):
        raise UserError(f"meta_batch_size={num_tasks} exceeds the {len(tasks)} meta-train tasks; lower it")
    classes = by_class(tasks)
    share, rest = divmod(num_tasks, len(classes))
    lucky = set(rng.choice(len(classes), rest, replace=False).tolist())
    return [
        goals[i]
        for index, goals in enumerate(classes.values())
        for i in rng.choice(len(goals), share + (index in lucky), replace=False)
    ]


def task_like(params: Mapping[str, Any], known: Sequence[Task]) -> Task:
    """The known task of these params, or a new one of a known class. Raises UserError for another class.

    Raises ValueError for params of another form than the class's.
    """
    env_name = params.get("env_name")
    of_class = [task for task in known if task.params["env_name"] == env_name]
    if not of_class:
        names = dict.fromkeys(task.params["env_name"] for task in known)
        near = nearest(str(env_name), names)
        raise UserError(
            f"env_name={env_name!r} is none of the {len(names)} classes here{near}; give a task of one of them"
        )
    check_like(params, of_class[0].params)
    same = [task for task in of_class if task.params == params]
    return same[0] if same else Task(f"{env_name}/{list(params['rand_vec'])}", dict(params), stratum=str(env_name))


def one_hot_id(task: Task, names: Sequence[str]) -> NDArray[np.float64]:
    """Of the task's class among those names."""
    found = np.zeros(len(names))
    found[names.index(task.stratum)] = 1.0
    return found


def make_lanes(
    num_lanes: int,
    *,
    stepping: Stepping,
    reward_version: RewardVersion,
    one_hot_names: tuple[str, ...] = (),
    misplaced: bool = False,
) -> LoopedLanes:
    """Goal hidden, or, with `one_hot_names`, shown and followed by the task's one-hot id among those names.

    With `misplaced` the object is shown where the task's offset puts it.
    """
    from metarl.envs.metaworld.lanes import lane_factory  # imports metaworld: 0.5 s, workers only
    from metarl.rollout.lanes import LoopedLanes

    make = lane_factory(
        stepping=stepping, reward_version=reward_version, one_hot_names=one_hot_names, misplaced=misplaced
    )
    return LoopedLanes(make, num_lanes, replace(SPEC, obs_dim=SPEC.obs_dim + len(one_hot_names)))
