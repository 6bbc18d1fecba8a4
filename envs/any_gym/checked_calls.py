"""reset and step of a user's env by gymnasium's rules: what breaks them is one sentence with its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from metarl.envs.any_gym.faults import faults_of
from metarl.errors import UserError


def checked_reset(reference: str, env: gym.Env, seed: int, options: Mapping[str, Any] | None) -> Any:
    """The observation of a reset that keeps to gymnasium's rules. Raises UserError."""
    _check_signature(reference, env)
    result = _unpacked(
        reference, "reset", lambda: env.reset(seed=seed, options=None if options is None else dict(options))
    )
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        raise UserError(
            f"env {reference!r}: reset returned {_shape_of(result)} instead of (obs, info), gymnasium's form "
            "since 0.26; return the observation and a dict"
        )
    return result[0]


def _check_signature(reference: str, env: gym.Env) -> None:
    layer = env
    while True:
        try:
            inspect.signature(layer.reset).bind(seed=0, options=None)
        except TypeError as error:
            raise UserError(
                f"env {reference!r}: reset of {type(layer).__name__} cannot be called with seed= and options= "
                f"({error}); gymnasium's signature is reset(self, *, seed=None, options=None)"
            ) from error
        except ValueError:  # Python cannot tell the signature of compiled code
            return
        if not isinstance(layer, gym.Wrapper):
            return
        layer = layer.env


def checked_step(reference: str, env: gym.Env, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
    """A step that keeps to gymnasium's rules. Raises UserError."""
    result = _unpacked(reference, "step", lambda: env.step(action))
    if not (isinstance(result, tuple) and len(result) == 5):
        raise UserError(
            f"env {reference!r}: step returned {_shape_of(result)} instead of (obs, reward, terminated, truncated, "
            "info), gymnasium's form since 0.26; split `done` into terminated and truncated"
        )
    if not isinstance(result[4], dict):
        raise UserError(
            f"env {reference!r}: the info of step is {result[4]!r:.60}, not a dict; return one, such as {{}}"
        )
    if not _is_number(result[1]):
        raise UserError(f"env {reference!r}: the reward of step is {result[1]!r:.60}, not a number; return a float")
    return result


def _is_number(reward: Any) -> bool:
    try:
        array = np.asarray(reward)
    except Exception:  # such as a ragged list, or a tensor with a gradient
        return False
    return array.shape == () and array.dtype.kind in "biuf"


def _unpacked(reference: str, call: str, result_of: Callable[[], Any]) -> Any:
    """What the call returned, or the ValueError of a wrapper that could not unpack it."""
    with faults_of(reference, call):
        try:
            return result_of()
        except ValueError as error:
            if "unpack" not in str(error):
                raise
            return error


def _shape_of(result: Any) -> str:
    if isinstance(result, Exception):
        return f"what its wrapper could not unpack ({result})"
    return f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"
