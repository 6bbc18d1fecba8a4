"""One task of any distribution as a plain gymnasium env: for other libraries, their checkers and their samplers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from metarl.tasks import HasGymEnv, TaskDistribution
from metarl.types import Task

_LANE = np.array([0])


class SingleTaskEnv(gym.Env):
    """A lane by itself. An episode's seed is drawn from np_random, so that reset(seed=) decides all that follow."""

    def __init__(self, tasks: TaskDistribution, task: Task) -> None:
        spec = tasks.spec
        self._task, self._lanes, self._horizon = task, tasks.make_env(1), spec.horizon_steps
        self._num_steps = 0
        self.observation_space = Box(-np.inf, np.inf, (spec.obs_dim,), np.float64)
        self.action_space: Any = (
            Discrete(spec.action_dim) if spec.discrete else Box(-1.0, 1.0, (spec.action_dim,), np.float32)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        self._num_steps = 0
        obs = self._lanes.reset(_LANE, [self._task], [(int(self.np_random.integers(2**31)),)])
        return np.array(obs[0], np.float64), {}

    def step(self, action: Any) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        step = self._lanes.step(_LANE, np.asarray(action)[None])
        self._num_steps += 1
        terminated = bool(step.terminated[0])
        truncated = bool(step.truncated[0]) or self._num_steps >= self._horizon
        info = {"success": bool(step.success[0])}
        return np.array(step.obs[0], np.float64), float(step.rewards[0]), terminated, truncated and not terminated, info

    def close(self) -> None:
        self._lanes.close()


def env_of(tasks: TaskDistribution, task: Task) -> gym.Env:
    """The task on the gymnasium env it was made from, or, where there is none, on one of our own lanes."""
    return tasks.gym_env(task) if isinstance(tasks, HasGymEnv) else SingleTaskEnv(tasks, task)
