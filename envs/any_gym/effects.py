"""What a new env shows in an episode, and whether each thing that varies between tasks changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.envs.any_gym.checked_calls import checked_reset, checked_step
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.make import MOST_STEPS
from metarl.envs.any_gym.spaces import observation_vector
from metarl.errors import UserError
from metarl.types import Task


def roll(
    reference: str, fixed: Mapping[str, Any], params: Mapping[str, Any], num_steps: int, *, after: int = 0
) -> NDArray[np.floating]:
    """All that an episode of a new env shows under the same seed and actions, up to its end, as a vector.

    `after`: steps of another episode that the env has been through before.
    """
    with GymLane(reference, fixed) as lane:
        if after:
            _episode(reference, lane, params, after, seed=8)
        return _episode(reference, lane, params, num_steps, seed=7)


def _episode(
    reference: str, lane: GymLane, params: Mapping[str, Any], num_steps: int, *, seed: int
) -> NDArray[np.floating]:
    env = lane.become(params)
    to_vector, _ = observation_vector(env.observation_space, f"env {reference!r}: its observation")
    seen = [to_vector(checked_reset(reference, env, seed, params.get("options")))]
    env.action_space.seed(seed)
    for _ in range(num_steps):
        obs, reward, terminated, truncated, _ = checked_step(reference, env, env.action_space.sample())
        seen += [to_vector(obs), np.array([reward])]
        if terminated or truncated:
            break
    return np.concatenate(seen)


def same(one: NDArray, other: NDArray) -> bool:
    """Whether two arrays are equal; NaN equals NaN."""
    return np.array_equal(one, other, equal_nan=True)


def names_without_effect(
    reference: str, fixed: Mapping[str, Any], tasks: Sequence[Task], horizon_steps: int
) -> tuple[list[str], int]:
    """(those of what varies that, changed alone, leave a whole episode as it was; how many were looked at)."""
    base, *others = (task.params for task in tasks)
    candidates = {place: [_with(base, other, *place) for other in others] for place in _varied(base)}
    alike = {place: changed for place, changed in candidates.items() if any(params != base for params in changed)}
    looked_at = len(alike)
    for num_steps in (5, min(horizon_steps, MOST_STEPS)):  # the whole episode only where a few steps look alike
        if alike:
            shown = roll(reference, fixed, base, num_steps)
            alike = {
                place: changed
                for place, changed in alike.items()
                if all(_shows(reference, fixed, params, shown, num_steps) for params in changed)
            }
    return [name for _, name in alike], looked_at


def _shows(reference: str, fixed: Mapping[str, Any], params: Mapping[str, Any], shown: NDArray, num_steps: int) -> bool:
    try:
        return same(shown, roll(reference, fixed, params, num_steps))
    except UserError:  # a mixture of two tasks may be one that the env refuses; it tells them apart, then
        return False


def _varied(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(group, name) of each parameter; the env's own task is one."""
    named = [(group, name) for group, values in params.items() if group != "own" for name in values]
    return [*named, ("own", "own task")] if "own" in params else named


def _with(params: Mapping[str, Any], other: Mapping[str, Any], group: str, name: str) -> dict[str, Any]:
    """`params` with one parameter as it is in `other`."""
    if group == "own":
        return {**params, "own": other["own"]}
    return {**params, group: {**params[group], name: other[group][name]}}
