"""Frames of a Meta-World episode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from metarl.envs.metaworld.official import begin, official_env
from metarl.envs.metaworld.spec import RewardVersion
from metarl.envs.scene_picture import ScenePicture
from metarl.envs.view import View
from metarl.tasks import is_shown
from metarl.types import Task

_OVER_THE_SHOULDER = View(lookat=(0.0, 0.62, 0.12), distance=1.6, azimuth=149.0, elevation=-27.0)
"""The table fills the picture, and what stands at its far end is seen from the front."""
_GOAL_RADIUS = 0.05
"""Metres; as near as is success in reach and push."""


def replay(
    task: Task, actions: NDArray, *, size: int, every: int, reward_version: RewardVersion
) -> Iterator[NDArray[np.uint8]]:
    """Frames (size, size, 3) of the steps that `is_shown`; the ball is the goal, whether the policy knows it or not."""
    env = official_env(task.params["env_name"], reward_version=reward_version)
    picture = None
    try:
        begin(env, np.array(task.params["rand_vec"]), goal_visible=False)
        picture = ScenePicture(env.model, env.data, size, _OVER_THE_SHOULDER)
        yield picture.take(env._target_pos, _GOAL_RADIUS)
        for step, action in enumerate(actions, 1):
            env.step(action)
            if is_shown(step, len(actions), every):
                yield picture.take(env._target_pos, _GOAL_RADIUS)
    finally:
        if picture is not None:
            picture.close()
        env.close()
