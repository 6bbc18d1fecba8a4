"""One gymnasium env as a lane: it becomes a task's env at reset, and is made anew only where it must be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from copy import deepcopy
from typing import Any, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl.envs.any_gym.checked_calls import checked_reset, checked_step
from metarl.envs.any_gym.faults import faults_of
from metarl.envs.any_gym.make import close_env, make_env
from metarl.envs.any_gym.model_fields import ModelScaler
from metarl.envs.any_gym.own_tasks import from_json
from metarl.envs.any_gym.spaces import env_action, observation_vector
from metarl.errors import UserError
from metarl.rollout.lanes import LaneStep
from metarl.seeding import SeedKey, seed_sequence
from metarl.types import Task

_NAMED = ("kwargs", "attributes", "model", "options")
"""Groups of a task's params that hold values by name."""


class GymLane:
    """A LaneEnv. A task's params are `kwargs`, `attributes`, `model`, `options` and `own`, each if there is any.

    The env has copies of all that it is given, since it may write into them: tasks and config stay as they are.
    """

    def __init__(self, reference: str, fixed: Mapping[str, Any]) -> None:
        self._reference, self._fixed = reference, dict(fixed)
        self._made_with: Mapping[str, Any] = {}
        self._given: Mapping[str, Any] = {}
        self._names: Mapping[str, Any] = {}
        self._scaler: ModelScaler | None = None
        self._where = ""
        self._num_steps = 0
        self.env: gym.Env | None = None

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        """Raises UserError for all that goes wrong in the env's code; an OSError is left as it is."""
        number = int(seed_sequence(seed).generate_state(1)[0] >> 1)  # below 2^31: some envs keep it in a C int
        self._where, self._num_steps = f"task {task.id!r}, reset(seed={number})", 0
        env = self.become(task.params)
        try:
            obs = self.to_vector(checked_reset(self._reference, env, number, task.params.get("options")))
            self.check_model()
        except UserError as error:
            raise self._told(error) from error
        return obs

    def step(self, action: NDArray) -> LaneStep:
        assert self.env is not None, "a lane is reset before it is stepped"
        self._num_steps += 1
        try:
            step = checked_step(self._reference, self.env, self.to_action(action))
            obs = self.to_vector(step.obs)
        except UserError as error:
            raise self._told(error) from error
        return LaneStep(obs, step.reward, step.terminated, step.truncated, bool(step.success))

    def check_model(self) -> None:
        """Raises UserError where the env has a new MuJoCo model since it was scaled: the factors went with the old."""
        if self._scaler is not None and self._model() is not self._scaler.model:
            raise UserError(
                f"env {self._reference!r}: reset builds the MuJoCo model anew, so that the factors in `model` are "
                "lost; build it in __init__, or vary a constructor keyword that the env itself scales by"
            )

    def overwritten_fields(self) -> list[str]:
        """Of the model: those that the env has set since they were scaled."""
        return [] if self._scaler is None else self._scaler.overwritten()

    def _told(self, error: UserError) -> Exception:
        """The error with what it takes to see it again. An OSError, such as a lost simulator's, may not come again:
        it is left to the pool, which tries once more."""
        if isinstance(error.__cause__, OSError):
            return error.__cause__
        return UserError(f"{error} ({self._where}, step {self._num_steps})")

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
        # what a task does not name is to be the env's own again
        names = {group: sorted(params[group]) if group in _NAMED else None for group in params}
        if self.env is None or kwargs != self._made_with or self._given != self._made_with or names != self._names:
            self.close()
            self._made_with, self._given, self._names = kwargs, deepcopy(kwargs), names
            self.env, self._scaler = make_env(self._reference, self._given), None
            self.to_vector, _ = observation_vector(
                self.env.observation_space, f"env {self._reference!r}: its observation"
            )
            self.to_action, _, _ = env_action(self.env.action_space, f"env {self._reference!r}: its action space")
        own: Any = self.env.unwrapped
        for name, value in params.get("attributes", {}).items():
            with faults_of(self._reference, f"setting {name} = {value!r:.60}"):
                setattr(own, name, deepcopy(value))
        if "model" in params:
            if self._scaler is None:
                self._scaler = ModelScaler(self._model(), params["model"], self._reference)
            self._scaler.scale(params["model"])
        if "own" in params:
            with faults_of(self._reference, "set_task"):
                own.set_task(from_json(params["own"]))
        return self.env

    def _model(self) -> Any:
        assert self.env is not None, "a model is an env's"
        return mujoco_model(self.env, self._reference)

    def close(self) -> None:
        """Raises UserError where the env's own close raises."""
        env, self.env = self.env, None
        if env is not None:
            close_env(self._reference, env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with nullcontext() if kind is None else suppress(UserError):  # what went wrong before is what is to be told
            self.close()


def mujoco_model(env: gym.Env, reference: str) -> Any:
    """The env's MjModel, whose fields can be scaled. Raises UserError where it has none."""
    model = vars(env.unwrapped).get("model")
    if type(model).__name__ != "MjModel":
        raise UserError(
            f"env {reference!r} has no MuJoCo model (an attribute `model` of type MjModel), so no field of it can be "
            "scaled; give constructor keywords or attributes in `vary` instead"
        )
    return model
