"""A task of a robot family as a plain gymnasium env: gymnasium's own v5 env, with the family's reward.

For rendering, for other libraries, and to measure the lockstep lanes against; not used in training.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from metarl.envs.mujoco_v5.family import Family, Moved
from metarl.envs.mujoco_v5.physics import mj_reset_data, refresh_constants
from metarl.seeding import SeedKey, numpy_rng
from metarl.types import Task


class RobotGymEnv(gym.Env):
    """Actions in [-1, 1]; observation, reward and ends are those of the lanes. `kwargs` go to gymnasium.make."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (gymnasium's own name for it)

    def __init__(self, family: Family, task: Task, **kwargs: Any) -> None:
        robot = family.robot
        self._env = gym.make(
            robot.gym_id, disable_env_checker=True, max_episode_steps=-1, **{**robot.gym_kwargs, **kwargs}
        )
        self.render_mode = self._env.render_mode
        self._family, self._params = family, task.params
        self._goal = np.array([family.goal(task.params)])
        self._own: Any = self._env.unwrapped
        scales = family.scales(task.params)
        for field, scale in scales.items():
            getattr(self._own.model, field)[...] *= np.asarray(scale)
        if scales:
            refresh_constants(self._own.model)
        self._low, high = self._own.model.actuator_ctrlrange.T.copy()
        self._half_range = (high - self._low) / 2
        self._num_steps = 0
        self.observation_space = Box(-np.inf, np.inf, (robot.obs_dim,), np.float64)
        self.action_space = Box(-1.0, 1.0, (robot.model.nu,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        return self._begin(self.np_random), {}

    def begin(self, seed: SeedKey) -> NDArray[np.float64]:
        """The episode that a lane has with this seed."""
        return self._begin(numpy_rng(seed))

    def _begin(self, rng: np.random.Generator) -> NDArray[np.float64]:
        self._env.reset()
        # its own start was another: the solver would begin with that one's forces
        mj_reset_data(self._own.model, self._own.data)
        self._own.set_state(*self._family.robot.start(self._own.model, rng, self._params))
        self._num_steps = 0
        state = self._state()
        self._position = self._family.position(state)
        return self._family.robot.observe(state)[0]

    def step(self, action: NDArray) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        controls = self._low + (np.clip(action, -1.0, 1.0).astype(np.float64) + 1.0) * self._half_range
        _, _, terminated, _, info = self._env.step(controls)
        self._num_steps += 1
        state, family = self._state(), self._family
        position = family.position(state)
        moved = Moved(state, (position - self._position) / family.robot.dt, controls[None], self._goal)
        self._position = position
        if family.succeeded is not None:
            info["success"] = bool(family.succeeded(moved)[0])
        truncated = self._num_steps >= family.horizon_steps
        return family.robot.observe(state)[0], float(family.rewards(moved)[0]), bool(terminated), truncated, info

    @property
    def model(self) -> Any:
        """MuJoCo's, with the task's body."""
        return self._own.model

    @property
    def data(self) -> Any:
        """MuJoCo's, of this moment."""
        return self._own.data

    def render(self) -> Any:
        return self._env.render()

    def close(self) -> None:
        self._env.close()

    def _state(self) -> dict[str, NDArray[np.float64]]:
        fields = (*self._family.robot.fields, *self._family.also_reads)
        return {field: getattr(self._own.data, field)[None].copy() for field in fields}
