"""Any of gymnasium's vector envs as Stable-Baselines3's VecEnv: `PPO("MlpPolicy", SB3VecEnv(make_vec(...)))`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from metarl.errors import UserError


class SB3VecEnv(VecEnv):
    """Resets an env in the step that ends its episode; info has its last observation and `TimeLimit.truncated`.

    `is_success` of an episode's last info is the success at any of its steps, Meta-World's own: SB3 logs the mean.
    """

    def __init__(self, envs: VectorEnv) -> None:
        """Raises UserError for envs of another autoreset mode than SAME_STEP."""
        if (mode := envs.metadata.get("autoreset_mode")) is not AutoresetMode.SAME_STEP:
            raise UserError(f"SB3 resets in the same step, and these envs have {mode}; give autoreset_mode='SameStep'")
        self.envs = envs
        self._actions: NDArray = np.zeros(0)
        self._succeeded = np.zeros(envs.num_envs, bool)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> NDArray[np.floating]:
        """With the seeds of `seed` and the options of `set_options`, which are the same for all envs."""
        seeds = None if self._seeds[0] is None else self._seeds
        options: Any = self._options[0] or None
        obs, infos = self.envs.reset(seed=seeds, options=options)  # type: ignore[arg-type]  # as SyncVectorEnv, a list
        self.reset_infos = [_of_env(infos, i) for i in range(self.num_envs)]
        self._succeeded[:] = False
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: NDArray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.floating], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        obs, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        each = []
        for i in range(self.num_envs):
            info = _of_env(infos, i)
            if dones[i]:
                begun = {name: value for name, value in info.items() if name not in ("final_obs", "final_info")}
                info, self.reset_infos[i] = {**info["final_info"], "terminal_observation": info["final_obs"]}, begun
            if "success" in info:
                self._succeeded[i] |= info["success"]
                if dones[i]:
                    info["is_success"], self._succeeded[i] = bool(self._succeeded[i]), False
            info["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
            each.append(info)
        return obs, rewards.astype(np.float32), dones, each

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        frames: Any = self.envs.render()
        return frames or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The vector env's attribute, for each env: they share it."""
        return [getattr(self.envs.unwrapped, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise UserError(f"{attr_name}={value!r} cannot be set in lanes that share all but their state; see set_task")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """The vector env's method, called once for all envs; its answer for each."""
        answer = getattr(self.envs.unwrapped, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def _of_env(infos: Mapping[str, Any], i: int) -> dict[str, Any]:
    """What gymnasium's infos of all envs, with their masks, say of one."""
    return {
        name: _of_env(value, i) if isinstance(value, dict) else value[i]
        for name, value in infos.items()
        if f"_{name}" in infos and infos[f"_{name}"][i]
    }
