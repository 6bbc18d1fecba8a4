"""Single Meta-World episodes as lanes: stepped by metaworld itself, or by our fast path."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from metaworld import Task as MetaworldTask
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from numpy.typing import NDArray

from envs.metaworld.fast import SawyerLane, SawyerModel
from metarl.rollout.batch_env import LaneStep
from metarl.seeding import SeedKey
from metarl.types import Task


class ReferenceLane:
    """metaworld's own environments, one for each task class this lane has met (20 MB each)."""

    def __init__(self, *, reward_version: str) -> None:
        self._reward_version = reward_version
        self._envs: dict[str, SawyerXYZEnv] = {}
        self._env: SawyerXYZEnv | None = None

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        """The seed goes unused: a Meta-World episode is determined by its goal and the actions."""
        env_name = task.params["env_name"]
        cls = ALL_V3_ENVIRONMENTS[env_name]
        if env_name not in self._envs:
            self._envs[env_name] = cls(reward_function_version=self._reward_version)
        self._env = self._envs[env_name]
        content = {
            "env_cls": cls,
            "rand_vec": np.array(task.params["rand_vec"]),
            "partially_observable": True,
        }
        self._env.set_task(MetaworldTask(env_name=env_name, data=pickle.dumps(content)))
        obs, _ = self._env.reset()
        return obs

    def step(self, action: NDArray) -> LaneStep:
        assert self._env is not None, "a lane is reset before it is stepped"
        obs, reward, terminated, truncated, info = self._env.step(action)
        return LaneStep(obs, float(reward), terminated, truncated, info["success"] == 1)

    def close(self) -> None:
        for env in self._envs.values():
            env.close()


class LanePark:
    """What the fast lanes of a process share: a model a task class, and its idle lanes."""

    def __init__(self, *, reward_version: str) -> None:
        self._reward_version = reward_version
        self._models: dict[str, SawyerModel] = {}
        self._idle: dict[str, list[SawyerLane]] = defaultdict(list)

    def take(self, env_name: str) -> SawyerLane:
        if self._idle[env_name]:
            return self._idle[env_name].pop()
        if env_name not in self._models:
            self._models[env_name] = SawyerModel(env_name, reward_version=self._reward_version)
        return SawyerLane(self._models[env_name])

    def give_back(self, lane: SawyerLane) -> None:
        self._idle[lane.shared.env_name].append(lane)


class FastLane:
    """A SawyerLane of whatever class the task asks for."""

    def __init__(self, park: LanePark) -> None:
        self._park = park
        self._lane: SawyerLane | None = None

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        """The seed goes unused: a Meta-World episode is determined by its goal and the actions."""
        env_name = task.params["env_name"]
        if self._lane is None or self._lane.shared.env_name != env_name:
            if self._lane is not None:
                self._park.give_back(self._lane)
            self._lane = self._park.take(env_name)
        return self._lane.reset(np.array(task.params["rand_vec"]))

    def step(self, action: NDArray) -> LaneStep:
        assert self._lane is not None, "a lane is reset before it is stepped"
        obs, reward, success = self._lane.step(action)
        return LaneStep(obs, reward, False, self._lane.num_steps == SawyerLane.HORIZON, success)

    def close(self) -> None:
        self._lane = None


def reference_lanes(*, reward_version: str) -> Callable[[], ReferenceLane]:
    return lambda: ReferenceLane(reward_version=reward_version)


def fast_lanes(*, reward_version: str) -> Callable[[], FastLane]:
    park = LanePark(reward_version=reward_version)
    return lambda: FastLane(park)
