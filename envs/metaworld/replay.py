"""Frames of a Meta-World episode."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.types import Task as MetaworldTask
from numpy.typing import NDArray

from metarl.envs.metaworld.spec import RewardVersion
from metarl.tasks import is_shown
from metarl.types import Task


def replay(
    task: Task, actions: NDArray, *, size: int, every: int, reward_version: RewardVersion
) -> Iterator[NDArray[np.uint8]]:
    """Frames (size, size, 3) of the steps that `is_shown`, from camera corner2, which hangs upside down."""
    cls = ALL_V3_ENVIRONMENTS[task.params["env_name"]]
    env = cls(
        render_mode="rgb_array", camera_name="corner2", reward_function_version=reward_version, width=size, height=size
    )
    content = {"env_cls": cls, "rand_vec": np.array(task.params["rand_vec"]), "partially_observable": True}
    env.set_task(MetaworldTask(env_name=task.params["env_name"], data=pickle.dumps(content)))
    try:
        env.reset()
        yield _upright(env.render())
        for step, action in enumerate(actions, 1):
            env.step(action)
            if is_shown(step, len(actions), every):
                yield _upright(env.render())
    finally:
        env.close()


def _upright(frame: Any) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame[::-1])
