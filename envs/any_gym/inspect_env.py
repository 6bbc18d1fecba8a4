"""Look at a user's env once, in the parent, before any worker starts: each fault is one sentence with its remedy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from metarl.envs.any_gym.checked_calls import checked_reset, checked_step
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.spaces import env_action, observation_vector, space_fault
from metarl.errors import UserError
from metarl.tasks import params_key
from metarl.types import EnvSpec, Task


class SameTasksWarning(UserWarning):
    """Tasks that nothing told apart at the first look."""


def inspect_env(reference: str, fixed: Mapping[str, Any], tasks: Sequence[Task], horizon_steps: int) -> EnvSpec:
    """The spec that all of `tasks` share. Raises UserError for whatever training would trip over later."""
    lanes = [GymLane(reference, fixed) for _ in tasks]
    try:
        envs = [lane.become(task.params) for lane, task in zip(lanes, tasks, strict=True)]
        first = envs[0]
        for env in envs[1:]:
            _check_same_spaces(reference, first, env)
        for env, task in zip(envs, tasks, strict=True):
            _check_episode(reference, env, task)
        _check_seed(reference, lanes[0], tasks[0])
        _warn_of_same_tasks(reference, lanes, tasks, horizon_steps)
        _, obs_dim = observation_vector(first.observation_space, f"env {reference!r}: its observation")
        _, action_dim, discrete = env_action(first.action_space, f"env {reference!r}: its action space")
    finally:
        for lane in lanes:
            lane.close()
    return EnvSpec(obs_dim=obs_dim, action_dim=action_dim, discrete=discrete, horizon_steps=horizon_steps)


def _check_same_spaces(reference: str, one: gym.Env, other: gym.Env) -> None:
    for what in ("observation_space", "action_space"):
        a, b = getattr(one, what), getattr(other, what)
        # bounds of an observation may follow a parameter: they are not used
        if a != b and (what == "action_space" or not _same_but_for_bounds(a, b)):
            raise UserError(
                f"env {reference!r}: its {what} changes between tasks, from {a} to {b}; one policy serves all tasks: "
                "pad it to one shape"
            )


def _same_but_for_bounds(a: Space, b: Space) -> bool:
    if isinstance(a, Dict) and isinstance(b, Dict):
        return set(a.spaces) == set(b.spaces) and all(
            _same_but_for_bounds(a.spaces[key], b.spaces[key]) for key in a.spaces
        )
    return a == b or (isinstance(a, Box) and isinstance(b, Box) and a.shape == b.shape)


def _check_episode(reference: str, env: gym.Env, task: Task, num_steps: int = 5) -> None:
    options, given = task.params.get("options"), _attributes(env, task)
    obs = checked_reset(reference, env, 0, options)
    kept = _attributes(env, task)
    for name in given.keys() & kept.keys():
        # by their text too: a ragged list is no array
        if not np.array_equal(given[name], kept[name]) and repr(given[name]) != repr(kept[name]):
            raise UserError(
                f"env {reference!r}: reset overwrites the attribute {name!r}, which varies between tasks: it was "
                f"{given[name]!r:.60} and is {kept[name]!r:.60} after reset; set its default in __init__ instead"
            )
    _check_obs(reference, env, obs, "reset")
    env.action_space.seed(0)
    for step in range(1, num_steps + 1):
        obs, reward, terminated, truncated, _ = checked_step(reference, env, env.action_space.sample())
        _check_obs(reference, env, obs, f"step {step}")
        if not np.isfinite(float(reward)):
            raise UserError(
                f"env {reference!r}: the reward of step {step} is {reward} on task {task.id!r}; fix the env"
            )
        if terminated or truncated:
            checked_reset(reference, env, step, options)


def _attributes(env: gym.Env, task: Task) -> dict[str, Any]:
    """Copies of those that the task set, where they can be read: a property may give another value than it took."""
    found = {}
    for name in task.params.get("attributes", {}):
        with suppress(Exception):  # a property that only reset makes readable
            found[name] = deepcopy(getattr(env.unwrapped, name))
    return found


def _check_obs(reference: str, env: gym.Env, obs: Any, when: str) -> None:
    fault = space_fault(obs, env.observation_space)
    if fault is not None:
        raise UserError(
            f"env {reference!r}: the observation of {when} is outside its observation_space: {fault}; fix the space "
            "or the observation"
        )


def _roll(reference: str, lane: GymLane, task: Task, num_steps: int) -> NDArray[np.floating]:
    """Everything that an episode shows under the same seed and actions, up to its end, as a vector."""
    env = lane.become(task.params)
    to_vector, _ = observation_vector(env.observation_space, f"env {reference!r}: its observation")
    seen = [to_vector(checked_reset(reference, env, 7, task.params.get("options")))]
    env.action_space.seed(7)
    for _ in range(num_steps):
        obs, reward, terminated, truncated, _ = checked_step(reference, env, env.action_space.sample())
        seen += [to_vector(obs), np.array([reward])]
        if terminated or truncated:
            break
    return np.concatenate(seen)


def _check_seed(reference: str, lane: GymLane, task: Task) -> None:
    """The same seed, the same episode: in one env, after another episode went before."""
    rolls = [_roll(reference, lane, task, 5) for _ in range(2)]
    if not np.array_equal(rolls[0], rolls[1]):
        where = "the first observation" if not np.array_equal(rolls[0][:1], rolls[1][:1]) else "an episode"
        raise UserError(
            f"env {reference!r} ignores its seed: two reset(seed=7) gave different episodes ({where} differs), so no "
            "run could be repeated; call super().reset(seed=seed) and draw from self.np_random alone"
        )


def _warn_of_same_tasks(reference: str, lanes: Sequence[GymLane], tasks: Sequence[Task], horizon_steps: int) -> None:
    """Only a warning: a sparse reward may tell them apart later."""
    if len({params_key(task) for task in tasks}) < 2:
        return
    for num_steps in (5, horizon_steps):  # the whole episode only where a few steps look alike
        rolls = [_roll(reference, lane, task, num_steps) for lane, task in zip(lanes, tasks, strict=True)]
        if not all(np.array_equal(rolls[0], other) for other in rolls[1:]):
            return
    warnings.warn(
        f"env {reference!r}: {len(tasks)} different tasks gave the same episode under the same actions, so there may "
        "be nothing to adapt to; run `metarl check-env` on the experiment's file",
        SameTasksWarning,
        stacklevel=2,
    )
