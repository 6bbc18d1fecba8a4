"""Environments as users write them: good ones, and one for each way of breaking gymnasium's rules."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete


class Walk(gym.Env):
    """A point walks in the plane; the goal comes with reset(options={"goal": (x, y)})."""

    observation_space = Box(-100.0, 100.0, (2,), np.float64)
    action_space = Box(-1.0, 1.0, (2,), np.float32)
    horizon = 10

    def __init__(self, speed: float = 0.1) -> None:
        self.speed = speed
        self.goal = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        if options:
            self.goal = np.array(options["goal"])
        self._position = self.np_random.uniform(-0.1, 0.1, 2)
        self._t = 0
        return self._position.copy(), {}

    def step(self, action):
        self._position = self._position + self.speed * np.asarray(action, np.float64)
        self._t += 1
        distance = float(np.hypot(*(self._position - self.goal)))
        return self._position.copy(), -distance, False, self._t >= self.horizon, {"success": distance < 0.1}


gym.register("metarl-tests/Walk-v0", Walk, max_episode_steps=10)


class OwnTasks(Walk):
    """Draws goals itself, as ProMP's and garage's environments do."""

    def sample_tasks(self, num_tasks: int):
        return [{"goal": goal} for goal in self.np_random.uniform(-1, 1, (num_tasks, 2))]

    def set_task(self, task) -> None:
        assert isinstance(task["goal"], np.ndarray)
        self.goal = task["goal"]


class GlobalTasks(OwnTasks):
    """Draws from numpy's global generator, as ProMP's environments do."""

    def sample_tasks(self, num_tasks: int):
        return [{"goal": goal} for goal in np.random.uniform(-1, 1, (num_tasks, 2))]


class TasksItRefuses(OwnTasks):
    def set_task(self, task) -> None:
        raise RuntimeError("the task server is down")


class TasksItCannotDraw(OwnTasks):
    def sample_tasks(self, num_tasks: int):
        raise RuntimeError("the task server is down")


class Rooms(Walk):
    """Dict observations, discrete actions that count from 1."""

    observation_space = Dict({"room": Discrete(3, start=5), "place": Box(-1.0, 1.0, (2, 2), np.float32)})
    action_space = Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room = 0
        return self._obs(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.room = (self.room + action) % 3
        self._t += 1
        return self._obs(), self.speed * self.room, False, False, {}

    def _obs(self):
        return {"room": 5 + self.room, "place": np.full((2, 2), self._t / 100, np.float32)}


class Attributes(Walk):
    """Of each kind: kept, made an array, behind a property, computed, and set by reset."""

    gain, offset, fixed = 1.0, (0.0, 0.0), 0.5

    @property
    def percent(self) -> float:
        return 100 * self.gain

    @percent.setter
    def percent(self, value: float) -> None:
        self.gain = value / 100

    @property
    def computed(self) -> float:
        return self.gain + 1

    def reset(self, *, seed=None, options=None):
        self.fixed, self.offset = 0.5, np.array(self.offset)
        return super().reset(seed=seed, options=options)

    def step(self, action):
        return super().step(self.gain * np.asarray(action) + self.offset)


class RareReward(Walk):
    """Its tasks look alike for seven steps."""

    def step(self, action):
        obs, _, *rest = super().step(0.0 * np.asarray(action))
        return obs, self.speed if self._t == 8 else 0.0, *rest


class KeyErrorInStep(Walk):
    def step(self, action):
        return {}["goal"]


class AttributeErrorInReset(Walk):
    def reset(self, *, seed=None, options=None):
        return self.no_such_attribute, {}


class TypeErrorInReset(Walk):
    def reset(self, *, seed=None, options=None):
        return len(3), {}  # type: ignore[arg-type]


class GoalOutside(Walk):
    def reset(self, *, seed=None, options=None):
        raise ValueError("goal is outside\nthe workspace")


class NoReward(Walk):
    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, None, *rest


class RewardOfShape1(Walk):
    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, np.array([reward]), *rest


class NoInfo(Walk):
    def step(self, action):
        return *super().step(action)[:4], None


class NoSpace(gym.Env):
    action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, speed: float = 0.1) -> None:
        self.speed = speed


class NotNumbers(Walk):
    def reset(self, *, seed=None, options=None):
        return ["a", "b"], {}


class OldStep(Walk):
    def step(self, action):
        obs, reward, _, done, info = super().step(action)
        return obs, reward, done, info


class OldReset(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0]


class ResetWithoutSeed(Walk):
    def reset(self):
        return super().reset()


class Outside(Walk):
    observation_space = Box(-0.01, 0.01, (2,), np.float64)


class WrongShape(Walk):
    observation_space = Box(-100.0, 100.0, (3,), np.float64)


class SpaceOfItsTask(Walk):
    def __init__(self, speed: float = 0.1) -> None:
        super().__init__(speed)
        self.action_space = Box(-speed, speed, (2,), np.float32)


class IgnoresSeed(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None, options=options)


class NaNReward(Walk):
    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float("nan"), *rest


class NaNLater(Walk):
    """Only after more steps than the first look takes."""

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, float("nan") if self._t > 8 else reward, *rest


class RemembersEpisodes(Walk):
    """Slower in all episodes but its first."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.episodes += 1
        self.speed = 0.1 if self.episodes == 1 else 0.05
        return super().reset(seed=seed, options=options)


class Raises(Walk):
    def __init__(self, speed: float = 0.1) -> None:
        raise OSError("the robot is not plugged in")


class PixelsAndText(Walk):
    observation_space = gym.spaces.Text(10)


class TwoHands(Walk):
    action_space = gym.spaces.MultiBinary(2)


class SameTasks(Walk):
    """Takes `speed`, and does nothing with it."""

    def step(self, action):
        self.speed = 0.1
        return super().step(action)


class SharedBuffer(Walk):
    """Hands out its own array, and writes on in it."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed, options=options)
        self._buffer = obs
        return self._buffer, info

    def step(self, action):
        obs, *rest = super().step(action)
        self._buffer[:] = obs
        return self._buffer, *rest


def make_walk(speed: float = 0.1) -> gym.Env:
    return gym.wrappers.TimeLimit(Walk(speed), 10)


def takes_all(g: float, way: int, name: str, lists: list[int]) -> gym.Env:
    return Walk(g * way)


def old_step_in_a_wrapper(speed: float = 0.1) -> gym.Env:
    return gym.wrappers.TimeLimit(OldStep(speed), 10)


not_an_env = dict
