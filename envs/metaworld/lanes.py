"""Single Meta-World episodes as lanes: stepped by metaworld itself, or by our fast path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from numpy.typing import NDArray

from metarl.envs.metaworld.fast import SawyerLane, SawyerModel
from metarl.envs.metaworld.misplaced import MisplacedObjectLane
from metarl.envs.metaworld.official import begin, official_env
from metarl.envs.metaworld.spec import RewardVersion, Stepping, one_hot_id
from metarl.rollout.lanes import LaneEnv, LaneStep
from metarl.seeding import SeedKey
from metarl.types import Task


class ReferenceLane:
    """metaworld's own environments, one for each task class this lane has met (20 MB each)."""

    def __init__(self, *, reward_version: RewardVersion, goal_visible: bool) -> None:
        self._reward_version, self._goal_visible = reward_version, goal_visible
        self._envs: dict[str, SawyerXYZEnv] = {}
        self._env: SawyerXYZEnv | None = None

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        """The seed goes unused: a Meta-World episode is determined by its goal and the actions."""
        env_name = task.params["env_name"]
        if env_name not in self._envs:
            self._envs[env_name] = official_env(env_name, reward_version=self._reward_version)
        self._env = self._envs[env_name]
        return begin(self._env, np.array(task.params["rand_vec"]), goal_visible=self._goal_visible)

    def step(self, action: NDArray) -> LaneStep:
        assert self._env is not None, "a lane is reset before it is stepped"
        obs, reward, terminated, truncated, info = self._env.step(action)
        return LaneStep(obs, float(reward), terminated, truncated, info["success"] == 1)

    def close(self) -> None:
        for env in self._envs.values():
            env.close()


class LanePark:
    """What the fast lanes of a process share: a model a task class, and its idle lanes."""

    def __init__(self, *, reward_version: RewardVersion, goal_visible: bool) -> None:
        self._reward_version, self._goal_visible = reward_version, goal_visible
        self._models: dict[str, SawyerModel] = {}
        self._idle: dict[str, list[SawyerLane]] = defaultdict(list)

    def take(self, env_name: str) -> SawyerLane:
        if self._idle[env_name]:
            return self._idle[env_name].pop()
        if env_name not in self._models:
            self._models[env_name] = SawyerModel(
                env_name, reward_version=self._reward_version, goal_visible=self._goal_visible
            )
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
        return LaneStep(obs, reward, False, self._lane.truncated, success)

    def close(self) -> None:
        self._lane = None


class OneHotLane:
    """A lane whose observation is followed by the one-hot id of its task's class (multi-task learning).

    The observation is one buffer, overwritten by the next step.
    """

    def __init__(self, lane: LaneEnv, names: tuple[str, ...]) -> None:
        self._lane, self._names = lane, names
        self._obs = np.zeros(len(names))

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]:
        self._obs = np.concatenate([self._lane.reset(task, seed), one_hot_id(task, self._names)])
        return self._obs.copy()

    def step(self, action: NDArray) -> LaneStep:
        obs, reward, terminated, truncated, success = self._lane.step(action)
        self._obs[: obs.size] = obs
        return LaneStep(self._obs, reward, terminated, truncated, success)

    def close(self) -> None:
        self._lane.close()


def lane_factory(
    *, stepping: Stepping, reward_version: RewardVersion, one_hot_names: tuple[str, ...], misplaced: bool
) -> Callable[[], LaneEnv]:
    """See `make_lanes`; the fast lanes that one factory makes share their models."""
    goal_visible = bool(one_hot_names)
    park = LanePark(reward_version=reward_version, goal_visible=goal_visible)

    def make() -> LaneEnv:
        lane: LaneEnv = (
            FastLane(park)
            if stepping == "fast"
            else ReferenceLane(reward_version=reward_version, goal_visible=goal_visible)
        )
        if misplaced:
            lane = MisplacedObjectLane(lane)
        return OneHotLane(lane, one_hot_names) if one_hot_names else lane

    return make
