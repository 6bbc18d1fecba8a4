"""A point on a line, and one for each way in which an env goes wrong after its first steps, or in silence."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.spaces import Box, Discrete


class Point(gym.Env):
    def __init__(self, goal: Any = 0.5) -> None:
        self.goal, self.observation_space = goal, Box(-10, 10, (2,), np.float32)
        self.action_space = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = float(self.np_random.uniform(-0.1, 0.1)), 0
        return self.obs(), {}

    def obs(self):
        return np.array([self.x, self.t / 20], np.float32)

    def step(self, action):
        self.t += 1
        self.x = float(np.clip(self.x + 0.2 * float(np.ravel(action)[0]), -9, 9))
        return self.obs(), -abs(self.x - float(np.ravel(self.goal)[0])), False, False, {}


# ---- it writes into what it is given


class MovingGoal(Point):
    """In an option, a keyword, or an attribute: its first entry moves in each step."""

    moved = None

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        self.goal = options["goal"] if options else self.goal if self.moved is None else self.moved
        return result

    def step(self, action):
        goal: Any = self.goal
        if self.t > 7:
            goal[0] += 0.05
        return super().step(action)


# ---- luck that no seed decides


class LuckAtConstruction(Point):
    def __init__(self, goal=0.5) -> None:
        super().__init__(goal)
        self.drift = float(np.random.uniform(-0.1, 0.1))

    def step(self, action):
        result = super().step(action)
        self.x += self.drift
        return result


class LuckOfNpRandom(LuckAtConstruction):
    def __init__(self, goal=0.5) -> None:
        super().__init__(goal)
        self.drift = float(self.np_random.uniform(-0.1, 0.1))  # before any seed


class LuckOfTheProcess(Point):
    def step(self, action):
        self.x += 1e-9 * os.getpid()
        return super().step(action)


# ---- what it returns later, or is refused at once


class FailsAtItsEnd(Point):
    """And says so then alone."""

    def step(self, action):
        obs, reward, *_ = super().step(action)
        return obs, reward, self.t == 40, False, {"success": False} if self.t == 40 else {}


class EndsItsProcess(Point):
    def step(self, action):
        raise SystemExit(3)


class Later(Point):
    """From step 25 on, which is after the first look, something else: `what` names it."""

    what = "obs"

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if self.t < 25:
            return obs, reward, terminated, truncated, info
        changed: dict[str, tuple[Any, ...]] = {
            "short obs": (obs[:1], reward, terminated, truncated, info),
            "plain obs": (0.0, reward, terminated, truncated, info),
            "long obs": (np.zeros(4), reward, terminated, truncated, info),
            "no obs": (None, reward, terminated, truncated, info),
            "text reward": (obs, "1.5", terminated, truncated, info),
            "text flag": (obs, reward, "False", truncated, info),
            "nan flag": (obs, reward, float("nan"), truncated, info),
            "two flags": (obs, reward, np.array([False, False]), truncated, info),
            "text success": (obs, reward, terminated, truncated, {"success": "False"}),
            "old step": (obs, reward, terminated, info),
            "fault": (obs, reward, terminated, truncated, {}),
        }
        if self.what == "fault":
            raise KeyError("goal")
        return changed[self.what]


class States(gym.Env):
    """Discrete observations, of which `last` is one that comes after the first look."""

    last: Any = -1

    def __init__(self, goal: float = 0.5) -> None:
        self.goal, self.observation_space, self.action_space = goal, Discrete(5), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return int(self.np_random.integers(5)), {}

    def step(self, action):
        self.t += 1
        return (self.t % 5 if self.t < 25 else self.last), self.goal, False, False, {}


class Success(Point):
    """Says `said` of an episode in its info, as `success`."""

    said: Any = False

    def step(self, action):
        return *super().step(action)[:4], {"success": self.said, "is_success": True}


class NoFlag(Point):
    def step(self, action):
        obs, reward, *_ = super().step(action)
        return obs, reward, np.array([False, False]), False, {}


class NothingSeen(Point):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return None, {}


# ---- what varies has no effect


class DrawsOver(Point):
    """Of keywords, options and attributes: what reset draws over, what it ignores and what nothing reads."""

    unread = 1.0

    def __init__(self, goal=0.5, start=0.0) -> None:
        super().__init__(goal)
        self.start = start

    def reset(self, *, seed=None, options=None):
        self.start = 0.0
        return super().reset(seed=seed)


class Pairs(Point):
    """Refuses a mixture of two of its tasks."""

    def __init__(self, goal=0.5, twice=1.0) -> None:
        super().__init__(goal)
        if twice != 2 * goal:
            raise ValueError("twice is twice the goal")


class OwnTaskDrawnOver(Point):
    """Its reset draws over what set_task has set."""

    def sample_tasks(self, num_tasks: int):
        return [float(goal) for goal in self.np_random.uniform(-1, 1, num_tasks)]

    def set_task(self, task) -> None:
        self.own_goal = task

    def reset(self, *, seed=None, options=None):
        self.own_goal = 0.0
        return super().reset(seed=seed)


XML = """<mujoco><worldbody><body name="cart"><joint name="slide" type="slide" axis="1 0 0"/><geom size="1"/></body>
</worldbody><actuator><motor joint="slide"/></actuator></mujoco>"""


class Cart(gym.Env):
    """Of a MuJoCo model; `builds_at` are the resets, counted from 1, that build it anew."""

    builds_at: tuple[int, ...] = ()

    def __init__(self, goal: float = 0.5) -> None:
        self.goal, self.observation_space = goal, Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(-1, 1, (1,), np.float32)
        self.num_resets = 0
        self.build()

    def build(self) -> None:
        self.model: Any = mujoco.MjModel.from_xml_string(XML)
        self.data: Any = mujoco.MjData(self.model)

    def obs(self):
        return np.concatenate([self.data.qpos, self.data.qvel])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_resets += 1
        if self.num_resets in self.builds_at:
            self.build()
        mujoco.mj_resetData(self.model, self.data)
        return self.obs(), {}

    def step(self, action):
        self.data.ctrl[:] = 1e4 * np.asarray(action)
        mujoco.mj_step(self.model, self.data)
        return self.obs(), -abs(float(self.data.qpos[0]) - self.goal), False, False, {}


class BuildsAnew(Cart):
    builds_at = tuple(range(1, 1000))


class BuildsAtSecond(Cart):
    builds_at = (2,)


class BuildsLater(Cart):
    builds_at = (9,)


class SetsItsMass(Cart):
    def reset(self, *, seed=None, options=None):
        self.model.body_mass[1] = 2.0
        return super().reset(seed=seed)


# ---- a camera


class Lights(gym.Env):
    """A light on the left or the right of a picture; action 0 or 1 hits it, or, where the task is `swapped`, 1 or 0."""

    def __init__(self, swapped: int = 0, light: float = 255, channels_first: bool = False) -> None:
        self.swapped, self.light, self.channels_first = swapped, light, channels_first
        shape = (1, 8, 8) if channels_first else (8, 8, 1)
        self.observation_space, self.action_space = Box(0, 255, shape, np.uint8), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.show(), {}

    def show(self):
        self.side = int(self.np_random.integers(2))
        row, column = int(self.np_random.integers(6)), int(self.np_random.integers(2)) + 4 * self.side
        picture = np.zeros((8, 8, 1), np.uint8)
        picture[row : row + 3, column : column + 3] = int(self.light)
        return np.moveaxis(picture, -1, 0) if self.channels_first else picture

    def step(self, action):
        reward = float(action == self.side ^ self.swapped)
        return self.show(), reward, False, False, {}


# ---- the rest


class SeedOfC(Point):
    def reset(self, *, seed=None, options=None):
        if seed is not None and seed > 2**31 - 1:
            raise OverflowError("Python int too large to convert to C long")
        return super().reset(seed=seed)


class CloseRaises(Point):
    def close(self) -> None:
        self.server.stop()  # type: ignore[attr-defined] (made by render alone)


class CloseRaisesToo(CloseRaises):
    def step(self, action):
        raise KeyError("goal")


class AtTheBound(Point):
    """Its first entry is float32's 0.1 in double precision, and its bound 0.1."""

    def __init__(self, goal=0.5) -> None:
        super().__init__(goal)
        self.observation_space = Box(np.float32([-10, -10]), np.float32([0.1, 10]))

    def obs(self):
        return np.array([0.1 + 1e-9, self.t / 20])


class LostSimulator(Point):
    def step(self, action):
        if self.t == 24:
            raise ConnectionResetError("the simulator is gone")
        return super().step(action)


def one_for_all(goal: float = 0.5) -> gym.Env:
    """Not a new env, but always the same one."""
    THE_ONE.goal = goal
    return THE_ONE


THE_ONE = Point()


def rewards_by_running_statistics(goal: float = 0.5) -> gym.Env:
    return gym.wrappers.NormalizeReward(Point(goal))


gym.register("metarl-tests/HereOnly-v0", Point, max_episode_steps=20)
gym.register("metarl-tests/HereByLambda-v0", lambda **kwargs: Point(**kwargs), max_episode_steps=20)
gym.register("metarl-tests/NoLimit-v0", Point, max_episode_steps=10**6)


class EndsEarly(Point):
    def step(self, action):
        obs, reward, _, truncated, info = super().step(action)
        return obs, reward, self.t == 30, truncated, info


gym.register("metarl-tests/EndsEarly-v0", EndsEarly, max_episode_steps=10**9)
