"""Spaces as vectors: observations flattened, actions in [-1, 1] or numbered from 0. Others get a named error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from metarl.errors import UserError

ToVector = Callable[[Any], NDArray[np.floating]]
ToAction = Callable[[NDArray], Any]


def observation_vector(space: Space, name: str) -> tuple[ToVector, int]:
    """(observation -> vector, its size): Box as it lies, Discrete one-hot, Dict in the space's order of keys."""
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.number):
        return (lambda obs: np.asarray(obs).reshape(-1)), int(np.prod(space.shape))
    if isinstance(space, Discrete):
        rows, start = np.eye(int(space.n)), int(space.start)
        return (lambda obs: rows[int(obs) - start]), int(space.n)
    if isinstance(space, Dict):
        parts = {key: observation_vector(inner, f"{name}[{key!r}]") for key, inner in space.spaces.items()}
        vectors = [(key, to_vector) for key, (to_vector, _) in parts.items()]
        return (
            lambda obs: np.concatenate([to_vector(obs[key]) for key, to_vector in vectors]),
            sum(size for _, size in parts.values()),
        )
    raise UserError(
        f"{name} is {type(space).__name__}, and observations must be Box, Discrete or Dict of them; "
        "wrap the env with gymnasium.wrappers.FlattenObservation"
    )


def env_action(space: Space, name: str) -> tuple[ToAction, int, bool]:
    """(policy's action -> the env's, action_dim, whether discrete).

    A bounded Box is scaled: -1 and 1 are its ends, and what is beyond is clipped. An unbounded one gets the action
    as it is.
    """
    if isinstance(space, Discrete):
        start = int(space.start)
        return (lambda action: int(action) + start), int(space.n), True
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        low, high, shape, dtype = space.low, space.high, space.shape, space.dtype
        size = int(np.prod(shape))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
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
        try:
            array = np.asarray(obs, np.float64)
        except (TypeError, ValueError):
            return f"it is {obs!r:.60}, no array of numbers"
        if array.shape != space.shape:
            return f"it has shape {array.shape} and its space {space.shape}"
        outside = ~((array >= space.low) & (array <= space.high))
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            return f"entry {list(index)} is {array[index]} and its space says [{space.low[index]}, {space.high[index]}]"
        return None
    return None if space.contains(obs) else f"{obs!r} is not in {space}"
