"""metaworld's own envs, at goals that are plain numbers with us."""

from __future__ import annotations

import pickle

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task as MetaworldTask


def official_env(env_name: str, *, reward_version: str = "v2") -> SawyerXYZEnv:
    """A new one (20 MB, 0.1 s); `begin` comes before its first step."""
    return ALL_V3_ENVIRONMENTS[env_name](reward_function_version=reward_version)


def begin(env: SawyerXYZEnv, rand_vec: np.ndarray, *, goal_visible: bool) -> np.ndarray:
    """Set the task and reset; the observation (39,)."""
    # env_cls is only looked at: any class of metaworld's env is of this one
    content = {"env_cls": SawyerXYZEnv, "rand_vec": np.array(rand_vec), "partially_observable": not goal_visible}
    env.set_task(MetaworldTask(env_name=env.task_name, data=pickle.dumps(content)))
    obs, _ = env.reset()
    return obs
