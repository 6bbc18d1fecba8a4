"""Our stepping beside metaworld's own under the same goals and actions: the largest difference of all that is returned.

Used by the tests, and by `metarl bench alignment`, which makes docs/metaworld.md of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from metaworld.policies import ENV_POLICY_MAP
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from metarl.envs.metaworld.fast import SawyerLane, SawyerModel
from metarl.envs.metaworld.goals import ml1_goals
from metarl.envs.metaworld.lanes import FastLane, LanePark, ReferenceLane
from metarl.envs.metaworld.official import begin, official_env
from metarl.rollout.lanes import LaneEnv
from metarl.types import Task

TOLERANCE = 1e-9
DriverKind = Literal["random", "expert", "mixed"]
DRIVERS: tuple[DriverKind, ...] = ("random", "expert", "mixed")
GOAL = slice(36, 39)
"""Of an observation: zeros where the goal is hidden."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Largest absolute differences over some steps; NaN where a value of one side was none."""

    reset: float = 0.0
    """Of the observations that episodes begin with."""
    observation: float = 0.0
    reward: float = 0.0
    info: float = 0.0
    """Of any of metaworld's info values."""
    flags: int = 0
    """Steps of which success, termination or truncation were not the same."""
    steps: int = 0

    def __add__(self, other: Differences) -> Differences:
        """Of the steps of both."""
        larger = {name: float(np.maximum(getattr(self, name), getattr(other, name))) for name in VALUES}
        return Differences(**larger, flags=self.flags + other.flags, steps=self.steps + other.steps)

    @property
    def largest(self) -> float:
        """Of any value; infinite where a flag was not the same."""
        return float("inf") if self.flags else float(np.max([getattr(self, name) for name in VALUES]))


VALUES = tuple(field.name for field in fields(Differences) if field.name not in ("flags", "steps"))


class Driver:
    """Actions of one kind: random, the scripted expert, or 20 steps of each in turn."""

    def __init__(self, kind: DriverKind, env_name: str, rng: np.random.Generator) -> None:
        self.kind, self.rng, self.steps = kind, rng, 0
        self.expert = ENV_POLICY_MAP[env_name]()

    def __call__(self, goal: np.ndarray, obs: np.ndarray) -> np.ndarray:
        """(4,) float32, at times beyond the bounds, as the envs clip."""
        self.steps += 1
        if self.kind == "random" or (self.kind == "mixed" and self.steps // 20 % 2):
            return self.rng.uniform(-1.2, 1.2, 4).astype(np.float32)
        visible = obs.copy()
        visible[GOAL] = goal  # the experts need it
        action = self.expert.get_action(visible) + self.rng.normal(0, 0.02, 4)  # else it repeats itself
        return action.astype(np.float32)


def accepted_reset(lane: SawyerLane, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Reset `lane` to a random rand_vec that Meta-World accepts; (rand_vec, observation)."""
    space = lane.shared.rand_vec_space
    while True:
        rand_vec = rng.uniform(space.low, space.high)
        try:
            return rand_vec, lane.reset(rand_vec)
        except ValueError as rejected:
            assert "closer than" in str(rejected)


def step_both(env: SawyerXYZEnv, lane: SawyerLane, action: np.ndarray) -> tuple[np.ndarray, Differences]:
    """(metaworld's observation, the differences) of one step of each."""
    obs, reward, terminated, truncated, info = env.step(action)
    our_obs, our_reward, our_success = lane.step(action)
    our_info = lane.info()
    assert set(info) == set(our_info), f"metaworld's info has {sorted(info)}, ours {sorted(our_info)}"
    flags = (bool(info["success"]), terminated, truncated) != (our_success, False, lane.truncated)
    return obs, Differences(
        observation=float(np.abs(obs - our_obs).max()),
        reward=abs(float(reward) - our_reward),
        info=float(np.abs([float(info[name]) - our_info[name] for name in info]).max()),
        flags=int(flags),
        steps=1,
    )


def compare(shared: SawyerModel, kind: DriverKind, *, seed: int, steps: int, episodes: int = 1) -> Differences:
    """Over `episodes` of so many steps in one lane and in one env of metaworld, each at a new goal, resets included."""
    rng = np.random.default_rng(seed)
    lane = SawyerLane(shared)
    env = official_env(shared.env_name, reward_version=shared.reward_version)
    found = Differences()
    for _ in range(episodes):
        rand_vec, our_obs = accepted_reset(lane, rng)
        obs = begin(env, rand_vec, goal_visible=shared.goal_visible)
        found += Differences(reset=float(np.abs(our_obs - obs).max()))
        driver = Driver(kind, shared.env_name, rng)
        assert env._target_pos is not None, "every Meta-World env sets it in its reset"
        for _ in range(steps):
            obs, step = step_both(env, lane, driver(env._target_pos, obs))
            found += step
    return found


@dataclass(frozen=True, kw_only=True)
class ExpertSuccess:
    """At how many goals the scripted expert has a success at any step, each side acting on its own observations."""

    ours: int
    metaworlds: int
    same_step: int
    """Goals at which the first success is at the same step, or is missing, on both sides."""
    goals: int


def expert_success(env_name: str, *, goals: int) -> ExpertSuccess:
    """At the first so many of MT1's own goals, which are shown."""
    sides = (
        FastLane(LanePark(reward_version="v2", goal_visible=True)),
        ReferenceLane(reward_version="v2", goal_visible=True),
    )
    tasks = ml1_goals(env_name, seed=42).train[:goals]
    ours, theirs = ([_first_success(lane, task) for task in tasks] for lane in sides)
    return ExpertSuccess(
        ours=sum(step is not None for step in ours),
        metaworlds=sum(step is not None for step in theirs),
        same_step=sum(a == b for a, b in zip(ours, theirs, strict=True)),
        goals=len(tasks),
    )


def _first_success(lane: LaneEnv, task: Task) -> int | None:
    """Its step, from 1; None if there is none in the episode."""
    expert = ENV_POLICY_MAP[task.params["env_name"]]()
    obs = lane.reset(task, (0,))
    for number in range(1, SawyerLane.HORIZON + 1):
        step = lane.step(expert.get_action(obs.astype(np.float64)).astype(np.float32))
        if step.success:
            return number
        obs = step.obs
    return None


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Of the goal into the observation, where it is hidden: two episodes that differ in nothing but the goal."""

    goal_moved: float
    """Metres between the two goals; 0 where none is drawn apart from the object, whose place the policy sees."""
    observation: float
    """Largest difference of the two episodes' observations, and entry of the goal's place, which is to be zero."""
    steps: int
    """Compared: until bodies touch in one episode that do not in the other."""


def leak(shared: SawyerModel, *, seed: int, steps: int) -> Leak:
    """Under the same random actions; `shared` hides its goals."""
    rng = np.random.default_rng(seed)
    lanes = (SawyerLane(shared), SawyerLane(shared))
    starts = _same_object(lanes, rng)
    goal, other_goal = (np.array(lane.task.target) for lane in lanes)
    largest, compared = _shown_apart(*starts), 0
    for _ in range(steps):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        obs, other = (lane.step(action)[0] for lane in lanes)
        if _touching(lanes[0]) != _touching(lanes[1]):
            break
        largest, compared = max(largest, _shown_apart(obs, other)), compared + 1
    moved = float(np.linalg.norm(goal - other_goal))
    return Leak(goal_moved=moved, observation=largest, steps=compared)


def _shown_apart(obs: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, or entry of the goal's place, which is to be zero."""
    return float(max(np.abs(obs - other).max(), np.abs(obs[GOAL]).max(), np.abs(other[GOAL]).max()))


def _same_object(lanes: tuple[SawyerLane, SawyerLane], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The two first observations. A rand_vec of six is the object's place and the goal's, one of three is both."""
    while True:
        rand_vec, obs = accepted_reset(lanes[0], rng)
        other = accepted_reset(lanes[1], rng)[0]
        other[:3] = rand_vec[:3]
        try:
            return obs, lanes[1].reset(other)
        except ValueError:  # too close to each other
            continue


def _touching(lane: SawyerLane) -> set[tuple[int, int]]:
    """Pairs of geoms."""
    return {(min(pair), max(pair)) for pair in lane.data.contact.geom.tolist()}
