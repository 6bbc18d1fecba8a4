"""What a step of some lanes takes and gives, as arrays over memory that two processes hold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.tasks import EnvStep, Lanes
from metarl.types import EnvSpec


class Rows(NamedTuple):
    """A row a lane; the widest numbers first, so that each array begins where its kind may."""

    obs: NDArray[np.float64]  # (n, O)
    rewards: NDArray[np.float64]  # (n,)
    actions: NDArray  # (n, A) float32, or (n,) int64
    goes: NDArray[np.bool_]  # (n,): it is to be stepped
    terminated: NDArray[np.bool_]  # (n,)
    truncated: NDArray[np.bool_]  # (n,)
    success: NDArray[np.bool_]  # (n,)


GIVEN = EnvStep._fields
"""What a step gives; the rest it takes."""


def these(lanes: Lanes, num_lanes: int) -> Lanes | slice:
    """What picks these lanes' rows: a slice where they are all, in order, which copies in a third of the time."""
    every = lanes.size == num_lanes and bool((lanes == np.arange(num_lanes)).all())
    return slice(None) if every else lanes


def num_bytes(spec: EnvSpec, num_lanes: int) -> int:
    """Of the memory that a worker and its parent share, for so many lanes."""
    return sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in _layout(spec, num_lanes))


def rows_in(memory: memoryview, spec: EnvSpec, num_lanes: int) -> Rows:
    """Views of the beginning of `memory`: what one process writes the other reads."""
    arrays, begin = [], 0
    for shape, kind in _layout(spec, num_lanes):
        array = np.frombuffer(memory, kind, math.prod(shape), begin).reshape(shape)
        arrays.append(array)
        begin += array.nbytes
    return Rows(*arrays)


def _layout(spec: EnvSpec, n: int) -> list[tuple[tuple[int, ...], Any]]:
    action = ((n,), np.int64) if spec.discrete else ((n, spec.action_dim), np.float32)
    return [((n, spec.obs_dim), np.float64), ((n,), np.float64), action, *[((n,), np.bool_)] * 4]
