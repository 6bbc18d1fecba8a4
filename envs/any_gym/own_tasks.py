"""Environments that bring `sample_tasks(n)` and `set_task(task)` of their own, as ProMP's and garage's do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from metarl.envs.any_gym.faults import faults_of
from metarl.envs.any_gym.make import made_env
from metarl.errors import UserError


def missing_methods(env: gym.Env) -> list[str]:
    """Which of the methods of an env with tasks of its own it lacks."""
    return [name for name in ("sample_tasks", "set_task") if not callable(getattr(env.unwrapped, name, None))]


def check_has_own_tasks(env: gym.Env, reference: str) -> None:
    """Raises UserError where the env has no tasks of its own."""
    if missing := missing_methods(env):
        raise UserError(
            f"env {reference!r} has no {' and no '.join(missing)}, which own_tasks=True needs; add it or use `vary`"
        )


def check_own_tasks_repeat(reference: str, kwargs: Mapping[str, Any], num_tasks: int = 20) -> None:
    """Raises UserError for an env that draws its tasks from elsewhere than the generator that it is given."""
    draws = []
    for _ in range(2):
        rng = np.random.default_rng(0)
        with made_env(reference, kwargs) as env:
            # one at a time: an env may have fewer different tasks; many: two draws from a few may agree by luck
            draws.append([draw_own_tasks(env, 1, rng, reference) for _ in range(num_tasks)])
    if draws[0] != draws[1]:
        raise UserError(
            f"env {reference!r}: sample_tasks gave other tasks for an equal generator, so the held-out tasks would "
            "change from run to run; draw from self.np_random or take rng="
        )


def draw_own_tasks(env: gym.Env, num_tasks: int, rng: np.random.Generator, reference: str) -> list[Any]:
    """The env's tasks as JSON values; their randomness is `rng`, as its argument or as the env's np_random."""
    own: Any = env.unwrapped
    with faults_of(reference, f"sample_tasks({num_tasks})"):
        if "rng" in inspect.signature(own.sample_tasks).parameters:
            drawn = list(own.sample_tasks(num_tasks, rng=rng))
        else:
            own.np_random = rng
            drawn = list(own.sample_tasks(num_tasks))
    if len(drawn) != num_tasks:
        raise UserError(f"env {reference!r}: sample_tasks({num_tasks}) gave {len(drawn)} tasks; give as many as asked")
    return [to_json(task, reference) for task in drawn]


def to_json(value: Any, reference: str) -> Any:
    """Arrays become {"array": [...]}, so that set_task gets an array back."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): to_json(inner, reference) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inner, reference) for inner in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(
        f"env {reference!r}: sample_tasks gave a {type(value).__name__}, which JSON cannot hold; make tasks of "
        "numbers, strings, arrays, lists and dicts"
    )


def from_json(value: Any) -> Any:
    """A task as it was before it was written as JSON: arrays are arrays again."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return np.array(value["array"])
        return {key: from_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_json(inner) for inner in value]
    return value
