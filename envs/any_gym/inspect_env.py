"""Look at a user's env once, in the parent, before any worker starts: each fault is one sentence with its remedy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from metarl.envs.any_gym.checked_calls import check_signature, checked_reset, checked_step
from metarl.envs.any_gym.effects import names_without_effect, roll, same
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.make import MOST_STEPS, made_env
from metarl.envs.any_gym.spaces import env_action, observation_vector, picture_shape, space_fault
from metarl.errors import UserError
from metarl.types import EnvSpec, Task


class SameTasksWarning(UserWarning):
    """Tasks that nothing told apart at the first look."""


def inspect_env(reference: str, fixed: Mapping[str, Any], tasks: Sequence[Task], horizon_steps: int) -> EnvSpec:
    """The spec that all of `tasks` share. Raises UserError for whatever training would trip over later."""
    with ExitStack() as stack:
        lanes = [stack.enter_context(GymLane(reference, fixed)) for _ in tasks]
        envs = [lane.become(task.params) for lane, task in zip(lanes, tasks, strict=True)]
        first = envs[0]
        check_signature(reference, first)
        twin = stack.enter_context(GymLane(reference, fixed)).become(tasks[0].params)
        if twin.unwrapped in [env.unwrapped for env in envs]:
            raise UserError(
                f"env {reference!r}: its factory returns the same env at each call, so that episodes side by side "
                "would step in each other's; make a new one each time"
            )
        for env in envs[1:]:
            _check_same_spaces(reference, first, env)
        says_success = any([_check_episode(reference, *pair) for pair in zip(lanes, tasks, strict=True)])
        says_success = says_success or _says_success(reference, lanes[0], tasks[0], min(horizon_steps, MOST_STEPS))
        _check_seed(reference, fixed, tasks[0])
        _warn_of_same_tasks(reference, fixed, tasks, horizon_steps)
        _, obs_dim = observation_vector(first.observation_space, f"env {reference!r}: its observation")
        _, action_dim, discrete = env_action(first.action_space, f"env {reference!r}: its action space")
    return EnvSpec(
        obs_dim=obs_dim,
        action_dim=action_dim,
        discrete=discrete,
        horizon_steps=horizon_steps,
        measures_success=True if says_success else None,  # an env may say it where it succeeds only
        picture=picture_shape(first.observation_space),
    )


def check_ends(reference: str, fixed: Mapping[str, Any], task: Task, limit: int) -> None:
    """Raises UserError where a limit that no episode is meant to reach is all that would end one."""
    if limit <= MOST_STEPS:
        return
    with GymLane(reference, fixed) as lane:
        env = lane.become(task.params)
        check_signature(reference, env)
        checked_reset(reference, env, 0, task.params.get("options"))
        env.action_space.seed(0)
        for _ in range(MOST_STEPS):
            step = checked_step(reference, env, env.action_space.sample())
            if step.terminated or step.truncated:
                return
    raise UserError(
        f"env {reference!r} is registered with a limit of {limit} steps, and an episode of random actions has not "
        f"ended after {MOST_STEPS}; give horizon_steps, at which episodes are truncated"
    )


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


def _check_episode(reference: str, lane: GymLane, task: Task, num_steps: int = 5) -> bool:
    """Whether the env says in its info if the episode is a success."""
    options, says_success = task.params.get("options"), False
    for seed in range(2):  # some build anew what varies at every other reset
        env = lane.become(task.params)
        given = _attributes(env, task)
        obs = checked_reset(reference, env, seed, options)
        _check_kept(reference, lane, env, task, given)
        _check_obs(reference, env, obs, "reset")
        env.action_space.seed(seed)
        for step in range(1, num_steps + 1):
            obs, reward, terminated, truncated, success = checked_step(reference, env, env.action_space.sample())
            _check_obs(reference, env, obs, f"step {step}")
            if not np.isfinite(reward):
                raise UserError(
                    f"env {reference!r}: the reward of step {step} is {reward} on task {task.id!r}; fix the env"
                )
            says_success = says_success or success is not None
            if terminated or truncated:
                break
    return says_success


def _says_success(reference: str, lane: GymLane, task: Task, num_steps: int) -> bool:
    """Whether it does so anywhere in a whole episode, such as at its end."""
    env = lane.become(task.params)
    checked_reset(reference, env, 0, task.params.get("options"))
    env.action_space.seed(0)
    for _ in range(num_steps):
        step = checked_step(reference, env, env.action_space.sample())
        if step.success is not None:
            return True
        if step.terminated or step.truncated:
            break
    return False


def _check_kept(reference: str, lane: GymLane, env: gym.Env, task: Task, given: Mapping[str, Any]) -> None:
    """Raises UserError where reset takes back what the task set."""
    kept = _attributes(env, task)
    for name in given.keys() & kept.keys():
        # by their text too: a ragged list is no array
        if not np.array_equal(given[name], kept[name]) and repr(given[name]) != repr(kept[name]):
            raise UserError(
                f"env {reference!r}: reset overwrites the attribute {name!r}, which varies between tasks: it was "
                f"{given[name]!r:.60} and is {kept[name]!r:.60} after reset; set its default in __init__ instead"
            )
    lane.check_model()
    for field in lane.overwritten_fields():
        raise UserError(
            f"env {reference!r}: reset overwrites the model field {field!r}, which varies between tasks; leave it as "
            "it is in reset"
        )


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


def _check_seed(reference: str, fixed: Mapping[str, Any], task: Task, num_steps: int = 20) -> None:
    """The same seed, the same episode: in two new envs, and in one after another episode."""
    first, second = (roll(reference, fixed, task.params, num_steps) for _ in range(2))
    if not same(first, second):
        where = "the first observation" if not same(first[:1], second[:1]) else "an episode"
        raise UserError(
            f"env {reference!r} ignores its seed: reset(seed=7) of two new envs gave different episodes ({where} "
            "differs), so no run could be repeated; call super().reset(seed=seed) and draw from self.np_random alone, "
            "in reset and step, not in __init__"
        )
    if not same(first, roll(reference, fixed, task.params, num_steps, after=num_steps)):
        raise UserError(f"env {reference!r}: an episode depends on the one before it; {_memory_of(reference, fixed)}")


def _memory_of(reference: str, fixed: Mapping[str, Any]) -> str:
    """What to do about an env that remembers, by the wrapper that does if it is a known one."""
    with made_env(reference, fixed) as env:
        layer = env
        while isinstance(layer, gym.Wrapper):
            if isinstance(layer, (NormalizeReward, NormalizeObservation)):
                return (
                    f"its wrapper {type(layer).__name__} keeps running statistics: leave it out, and let the agent "
                    "normalise (--normalize-inputs of rl2)"
                )
            layer = layer.env
    return "set every field of the env's state in reset"


def _warn_of_same_tasks(reference: str, fixed: Mapping[str, Any], tasks: Sequence[Task], horizon_steps: int) -> None:
    """Only a warning: a sparse reward may tell them apart later."""
    without, looked_at = names_without_effect(reference, fixed, tasks, horizon_steps)
    if not without:
        return
    if len(without) == looked_at:
        told = f"{len(tasks)} different tasks gave the same episode under the same actions"
        told += ", so there may be nothing to adapt to"
    else:
        told = f"{', '.join(without)} had no effect: another value alone gave the same episode under the same actions"
        told += ", as where reset draws over it"
    warnings.warn(
        f"env {reference!r}: {told}; run `metarl check-env` on the experiment's file", SameTasksWarning, stacklevel=2
    )
