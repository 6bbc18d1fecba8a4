"""Randomness as a pure function of (run seed, purpose, iteration, task, episode).

Nothing here depends on which process asks, or in which order: that is why results do not depend on the
number of workers, on a worker's restart, or on resuming a run.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from metarl.errors import UserError

SeedKey = tuple[int, ...]
"""(run_seed, stream, iteration, ...): the entropy of a SeedSequence followed by its spawn key."""


class Stream(IntEnum):
    """Independent purposes of one run seed; a value is never reused for another purpose."""

    INIT = 0
    TASKS = 1
    COLLECT = 2
    EVALUATE = 3
    LEARN = 4
    VALIDATE = 5
    SEARCH = 6

    __repr__ = int.__repr__  # a seed in an error message can be pasted back


def checked_key(seed: SeedKey) -> SeedKey:
    """The key itself. Raises UserError for anything but a tuple of whole numbers >= 0, such as a number alone."""
    whole = (int, np.integer)
    if not (isinstance(seed, tuple) and seed and all(isinstance(part, whole) and part >= 0 for part in seed)):
        remedy = f"write ({seed!r},) for one" if isinstance(seed, whole) else "write one such as (0, 1)"
        raise UserError(f"seed={seed!r} must be a tuple of whole numbers >= 0; {remedy}")
    return seed


def seed_sequence(key: SeedKey) -> np.random.SeedSequence:
    """Numpy's, with the key's later numbers as its spawn key: other keys are independent."""
    return np.random.SeedSequence(key[0], spawn_key=key[1:])


def numpy_rng(key: SeedKey) -> np.random.Generator:
    """A generator of its own for the key."""
    return np.random.Generator(np.random.PCG64(seed_sequence(key)))


def torch_rng(key: SeedKey) -> torch.Generator:
    """A generator of its own for the key, on the CPU."""
    return torch.Generator().manual_seed(int(seed_sequence(key).generate_state(1, np.uint64)[0] >> 1))
