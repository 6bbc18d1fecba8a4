"""Spaces as vectors: observations flattened, actions in [-1, 1] or numbered from 0. Others get a named error."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from metarl.errors import UserError

ToVector = Callable[[Any], NDArray[np.floating]]
ToAction = Callable[[NDArray], Any]

_FAR = 1e6
"""A bound of an action that is no bound: float32's largest number and the like, to which nobody would scale."""


def observation_vector(space: Space, name: str) -> tuple[ToVector, int]:
    """(observation -> vector, its size): Box as it lies, Discrete one-hot, Dict in the space's order of keys; a picture
    with its channels last and its pixels from 0 to 1.

    The function raises UserError for an observation of another shape or kind, which NumPy would copy into a row all
    the same; whether it is within the space's bounds is not looked at.
    """
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.number):
        return _box_vector(space, name), int(np.prod(space.shape))
    if isinstance(space, Discrete):
        return _one_hot(space, name), int(space.n)
    if isinstance(space, Dict):
        parts = {key: observation_vector(inner, f"{name}[{key!r}]") for key, inner in space.spaces.items()}
        vectors = [(key, to_vector) for key, (to_vector, _) in parts.items()]

        def joined(obs: Any) -> NDArray[np.floating]:
            if not (isinstance(obs, dict) and obs.keys() == parts.keys()):
                raise _not_of(space, name, obs)
            return np.concatenate([to_vector(obs[key]) for key, to_vector in vectors])

        return joined, sum(size for _, size in parts.values())
    raise UserError(
        f"{name} is {type(space).__name__}, and observations must be Box, Discrete or Dict of them; "
        "wrap the env with gymnasium.wrappers.FlattenObservation"
    )


def _box_vector(space: Box, name: str) -> ToVector:
    shape, is_picture = space.shape, picture_shape(space) is not None
    channels_first = is_picture and _channels_first(shape)

    def to_vector(obs: Any) -> NDArray[np.floating]:
        array = _numbers(obs)
        if array is None or array.shape != shape:
            raise _not_of(space, name, obs)
        if is_picture:
            array = (np.moveaxis(array, 0, -1) if channels_first else array) / np.float32(255)
        return array.reshape(-1)

    return to_vector


def picture_shape(space: Space) -> tuple[int, int, int] | None:
    """(height, width, channels) of a Box of bytes with three dimensions, as cameras give; None for another space."""
    if not (isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3):
        return None
    first, second, third = space.shape
    return (second, third, first) if _channels_first(space.shape) else (first, second, third)


def _channels_first(shape: tuple[int, ...]) -> bool:
    """As torch and stacks of frames have it: there are fewer channels than pixels of a side."""
    return shape[0] < min(shape[1:])


def _one_hot(space: Discrete, name: str) -> ToVector:
    rows, start = np.eye(int(space.n)), int(space.start)

    def to_vector(obs: Any) -> NDArray[np.floating]:
        try:
            index = operator.index(obs) - start
        except TypeError:
            index = -1
        if not 0 <= index < len(rows):
            raise _not_of(space, name, obs)
        return rows[index]

    return to_vector


def _not_of(space: Space, name: str, obs: Any) -> UserError:
    fault = space_fault(obs, space) or f"it is {obs!r:.60}"
    return UserError(f"{name} is not of its space: {fault}; fix the space or the observation")


def _numbers(obs: Any) -> NDArray | None:
    """None for what is no array of numbers."""
    try:
        array = np.asarray(obs)
    except Exception:  # such as a ragged list
        return None
    return array if array.dtype.kind in "biuf" else None


def env_action(space: Space, name: str) -> tuple[ToAction, int, bool]:
    """(policy's action -> the env's, action_dim, whether discrete).

    A bounded Box is scaled: -1 and 1 are its ends, and what is beyond is clipped. An unbounded one gets the action
    as it is; so does one whose bounds are as far as no action is meant to go.
    """
    if isinstance(space, Discrete):
        start = int(space.start)
        return (lambda action: int(action) + start), int(space.n), True
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        low, high, shape, dtype = space.low, space.high, space.shape, space.dtype
        size = int(np.prod(shape))
        if not (np.abs(low) < _FAR).all() or not (np.abs(high) < _FAR).all():
            return (lambda action: np.clip(action.reshape(shape), low, high).astype(dtype)), size, False
        half = (high.astype(np.float64) - low) / 2

        def scaled(action: NDArray) -> NDArray:
            return (low + (np.clip(action.reshape(shape), -1.0, 1.0) + 1.0) * half).astype(dtype)

        return scaled, size, False
    raise UserError(
        f"{name} is {space}, and actions must be a Box of floats or Discrete; wrap the env with a "
        "gymnasium.ActionWrapper that has such a space"
    )


def space_fault(obs: Any, space: Space) -> str | None:
    """Why an observation is outside its space, in words; None if it is inside."""
    if isinstance(space, Dict) and isinstance(obs, dict):
        if set(obs) != set(space.spaces):
            return f"it has the keys {sorted(obs)} and its space {sorted(space.spaces)}"
        faults = {key: space_fault(obs[key], inner) for key, inner in space.spaces.items()}
        return next((f"at {key!r} {fault}" for key, fault in faults.items() if fault is not None), None)
    if isinstance(space, Box):
        array = _numbers(obs)
        if array is None:
            return f"it is {obs!r:.60}, no array of numbers"
        if array.shape != space.shape:
            return f"it has shape {array.shape} and its space {space.shape}"
        if np.issubdtype(space.dtype, np.floating):  # a bound that was rounded to it is compared with what is as well
            array = array.astype(space.dtype)
        outside = ~((array >= space.low) & (array <= space.high))
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            return f"entry {list(index)} is {array[index]} and its space says [{space.low[index]}, {space.high[index]}]"
        return None
    return None if space.contains(obs) else f"{obs!r} is not in {space}"
