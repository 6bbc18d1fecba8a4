"""reset and step of a user's env by gymnasium's rules: what breaks them is one sentence with its remedy.

At the first look and in each step of a rollout alike: what NumPy and Python would take in silence (a string for a
number, NaN for True) is no fault that shows in five steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from metarl.envs.any_gym.faults import fault_of
from metarl.errors import UserError


class CheckedStep(NamedTuple):
    """A step of a user's env, of which each part has been checked."""

    obs: Any
    """As the env gave it."""
    reward: float
    terminated: bool
    truncated: bool
    success: bool | None
    """What the env's info says of it; None where it says nothing."""


def checked_reset(reference: str, env: gym.Env, seed: int, options: Mapping[str, Any] | None) -> Any:
    """The observation of a reset that keeps to gymnasium's rules. Raises UserError.

    The env gets options of its own: it may write into them.
    """
    given = None if options is None else deepcopy(dict(options))
    result = _result_of(reference, "reset", lambda: env.reset(seed=seed, options=given))
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        raise UserError(
            f"env {reference!r}: reset returned {_shape_of(result)} instead of (obs, info), gymnasium's form "
            "since 0.26; return the observation and a dict"
        )
    return result[0]


def check_signature(reference: str, env: gym.Env) -> None:
    """Raises UserError where reset does not take seed= and options=, naming the layer of wrappers."""
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


def checked_step(reference: str, env: gym.Env, action: Any) -> CheckedStep:
    """A step that keeps to gymnasium's rules. Raises UserError."""
    result = _result_of(reference, "step", lambda: env.step(action))
    if not (isinstance(result, tuple) and len(result) == 5):
        raise UserError(
            f"env {reference!r}: step returned {_shape_of(result)} instead of (obs, reward, terminated, truncated, "
            "info), gymnasium's form since 0.26; split `done` into terminated and truncated"
        )
    obs, reward, terminated, truncated, info = result
    if not isinstance(info, dict):
        raise UserError(f"env {reference!r}: the info of step is {info!r:.60}, not a dict; return one, such as {{}}")
    if not (type(reward) is float or _is_number(reward)):
        raise UserError(f"env {reference!r}: the reward of step is {reward!r:.60}, not a number; return a float")
    return CheckedStep(
        obs,
        float(reward),
        _truth(reference, "terminated", terminated),
        _truth(reference, "truncated", truncated),
        _success(reference, info),
    )


def _is_number(reward: Any) -> bool:
    try:
        array = np.asarray(reward)
    except Exception:  # such as a ragged list, or a tensor with a gradient
        return False
    return array.shape == () and array.dtype.kind in "biuf"


def _success(reference: str, info: Mapping[str, Any]) -> bool | None:
    for name in ("success", "is_success"):
        if info.get(name) is not None:
            return _truth(reference, f"info[{name!r}]", info[name])
    return None


def _truth(reference: str, what: str, value: Any) -> bool:
    """True or False, also as 0 or 1 or an array of one of them. Anything is true to Python, even NaN and 'False'."""
    if value is True or value is False:
        return value
    try:
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "biuf" and array.item() in (0, 1):
            return bool(array.item())
    except Exception:  # such as a ragged list
        pass
    raise UserError(f"env {reference!r}: {what} of step is {value!r:.60}, not a truth value; return True or False")


def _result_of(reference: str, call: str, function: Callable[[], Any]) -> Any:
    """What the call returned, or the ValueError of a wrapper that could not unpack it."""
    try:
        return function()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # an env that ends its process would end the run without a word
        if isinstance(error, ValueError) and "unpack" in str(error):
            return error
        raise fault_of(reference, call, error) from error


def _shape_of(result: Any) -> str:
    if isinstance(result, Exception):
        return f"what its wrapper could not unpack ({result})"
    return f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"
