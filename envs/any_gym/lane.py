"""One gymnasium env as a lane: it becomes a task's env at reset, and is made anew only where it must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl.envs.any_gym.faults import faults_of
from metarl.envs.any_gym.make import make_env
from metarl.envs.any_gym.model_fields import ModelScaler
from metarl.envs.any_gym.own_tasks import from_json
from metarl.envs.any_gym.spaces import env_action, observation_vector
from metarl.errors import UserError
from metarl.rollout.lanes import LaneStep
from metarl.seeding import SeedKey, seed_sequence
from metarl.types import Task


class GymLane:
    """A LaneEnv. A task's params are `kwargs`, `attributes`, `model`, `options` and `own`, each if there is any."""

    def __init__(self, reference: str, fixed: Mapping[str, Any]) -> None:
        self._reference, self._fixed = reference, dict(fixed)
        self._made_with: Mapping[str, Any] | None = None
        self._scaler: ModelScaler | None = None
        self.env: gym.Env | None = None

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        env = self.become(task.params)
        options = task.params.get("options")
        number = int(seed_sequence(seed).generate_state(1)[0])
        obs, _ = env.reset(seed=number, options=None if options is None else dict(options))
        return self._to_vector(obs)

    def step(self, action: NDArray) -> LaneStep:
        assert self.env is not None, "a lane is reset before it is stepped"
        obs, reward, terminated, truncated, info = self.env.step(self._to_action(action))
        success = info.get("success", info.get("is_success", False))
        return LaneStep(self._to_vector(obs), float(reward), bool(terminated), bool(truncated), bool(success))

    def picture(self, size: int) -> NDArray[np.uint8]:
        """What the env renders, thinned to about `size` pixels in height. Raises UserError if it renders nothing."""
        try:
            frame: Any = self.env.render() if self.env is not None else None
        except gym.error.DependencyNotInstalled as error:
            raise UserError(f"env {self._reference!r} cannot render: {error}") from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise UserError(
                f"env {self._reference!r} renders {type(frame).__name__}, not an rgb_array; let its constructor take "
                "render_mode='rgb_array' and its render return (H, W, 3) pixels"
            )
        stride = max(1, round(frame.shape[0] / size))
        return frame[::stride, ::stride].astype(np.uint8)

    def become(self, params: Mapping[str, Any], **more: Any) -> gym.Env:
        """The task's env, not yet reset; `more` are keywords for its constructor, such as render_mode."""
        kwargs = {**self._fixed, **params.get("kwargs", {}), **more}
        if self.env is None or kwargs != self._made_with:
            self.close()
            self.env = make_env(self._reference, kwargs)
            self._made_with, self._scaler = kwargs, None
            self._to_vector, _ = observation_vector(
                self.env.observation_space, f"env {self._reference!r}: its observation"
            )
            self._to_action, _, _ = env_action(self.env.action_space, f"env {self._reference!r}: its action space")
        own: Any = self.env.unwrapped
        for name, value in params.get("attributes", {}).items():
            with faults_of(self._reference, f"setting {name} = {value!r:.60}"):
                setattr(own, name, value)
        if "model" in params:
            if self._scaler is None:
                self._scaler = ModelScaler(mujoco_model(self.env, self._reference), params["model"], self._reference)
            self._scaler.scale(params["model"])
        if "own" in params:
            with faults_of(self._reference, "set_task"):
                own.set_task(from_json(params["own"]))
        return self.env

    def close(self) -> None:
        if self.env is not None:
            self.env.close()
            self.env = None


def mujoco_model(env: gym.Env, reference: str) -> Any:
    model = vars(env.unwrapped).get("model")
    if type(model).__name__ != "MjModel":
        raise UserError(
            f"env {reference!r} has no MuJoCo model (an attribute `model` of type MjModel), so no field of it can be "
            "scaled; give constructor keywords or attributes in `vary` instead"
        )
    return model
