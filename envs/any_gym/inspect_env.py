"""Look at a user's env once, in the parent, before any worker starts: each fault is one sentence with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict

from envs.any_gym.lane import GymLane
from envs.any_gym.spaces import env_action, observation_vector, space_fault
from metarl.errors import UserError
from metarl.types import EnvSpec, Task


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
        _check_seed(reference, envs[0], tasks[0])
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


def checked_reset(reference: str, env: gym.Env, seed: int, options: Mapping[str, Any] | None) -> Any:
    """The observation of a reset that keeps to gymnasium's rules. Raises UserError."""
    try:
        result = env.reset(seed=seed, options=None if options is None else dict(options))
    except TypeError as error:
        raise UserError(
            f"env {reference!r}: reset(seed=, options=) failed ({error}); gymnasium's signature is "
            "reset(self, *, seed=None, options=None)"
        ) from error
    except ValueError as error:  # unpacking by a wrapper
        result = error
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        raise UserError(
            f"env {reference!r}: reset returned {_shape_of(result)} instead of (obs, info), gymnasium's form "
            "since 0.26; return the observation and a dict"
        )
    return result[0]


def checked_step(reference: str, env: gym.Env, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
    """A step that keeps to gymnasium's rules. Raises UserError."""
    try:
        result = env.step(action)
    except ValueError as error:
        if "unpack" not in str(error):
            raise
        result = error
    if not (isinstance(result, tuple) and len(result) == 5):
        raise UserError(
            f"env {reference!r}: step returned {_shape_of(result)} instead of (obs, reward, terminated, truncated, "
            "info), gymnasium's form since 0.26; split `done` into terminated and truncated"
        )
    return result


def _shape_of(result: Any) -> str:
    if isinstance(result, Exception):
        return f"what its wrapper could not unpack ({result})"
    return f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"


def _check_episode(reference: str, env: gym.Env, task: Task, num_steps: int = 5) -> None:
    options = task.params.get("options")
    obs = checked_reset(reference, env, 0, options)
    _check_obs(reference, env, obs, "reset")
    env.action_space.seed(0)
    for step in range(1, num_steps + 1):
        obs, reward, terminated, truncated, _ = checked_step(reference, env, env.action_space.sample())
        _check_obs(reference, env, obs, f"step {step}")
        if not np.isfinite(float(reward)):
            raise UserError(
                f"env {reference!r}: the reward of step {step} is {reward} on task {task.id!r}; mend the env"
            )
        if terminated or truncated:
            checked_reset(reference, env, step, options)


def _check_obs(reference: str, env: gym.Env, obs: Any, when: str) -> None:
    fault = space_fault(obs, env.observation_space)
    if fault is not None:
        raise UserError(
            f"env {reference!r}: the observation of {when} is outside its observation_space: {fault}; mend the space "
            "or the observation"
        )


def _check_seed(reference: str, env: gym.Env, task: Task) -> None:
    """The same seed, the same episode: in one env, after another episode went before."""
    options, rolls = task.params.get("options"), []
    to_vector, _ = observation_vector(env.observation_space, f"env {reference!r}: its observation")
    for _ in range(2):
        seen = [to_vector(checked_reset(reference, env, 7, options))]
        env.action_space.seed(7)
        for _ in range(5):
            obs, reward, terminated, truncated, _ = checked_step(reference, env, env.action_space.sample())
            seen += [to_vector(obs), np.array([reward])]
            if terminated or truncated:
                break
        rolls.append(np.concatenate(seen))
    if not np.array_equal(*rolls):
        where = "the first observation" if not np.array_equal(rolls[0][:1], rolls[1][:1]) else "an episode"
        raise UserError(
            f"env {reference!r} ignores its seed: two reset(seed=7) gave different episodes ({where} differs), so no "
            "run could be repeated; call super().reset(seed=seed) and draw from self.np_random alone"
        )
