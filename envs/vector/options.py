"""What is given to reset."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError, nearest


def is_whole(value: Any) -> TypeGuard[int]:
    """Python's or NumPy's whole number, and no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def checked_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """A copy. Raises UserError for an option that is not known, which would go unheeded."""
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"options={options!r:.100} of reset must be a dict; it may have {', '.join(known)}")
    for name in options or {}:
        if name not in known:
            raise UserError(f"reset has no option {name!r}{nearest(name, known)}; it has {', '.join(known)}")
    return dict(options or {})


def reset_mask(options: Mapping[str, Any], num_envs: int) -> NDArray[np.bool_]:
    """Which envs a reset is about, (num_envs,): gymnasium's option `reset_mask`, or all."""
    mask = options.get("reset_mask")
    if mask is None:
        return np.ones(num_envs, bool)
    if not (isinstance(mask, np.ndarray) and mask.shape == (num_envs,) and mask.dtype == np.bool_ and mask.any()):
        raise UserError(f"reset_mask={mask!r} must be a NumPy array of {num_envs} truth values, one at least True")
    return mask


def seeds_of(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each env: seed, seed + 1, ... of a number, as gymnasium has it."""
    if seed is None:
        return [None] * num_envs
    each = [seed] if is_whole(seed) else list(seed) if isinstance(seed, (Sequence, np.ndarray)) else [seed]
    if wrong := [own for own in each if own is not None and not (is_whole(own) and own >= 0)]:
        raise UserError(f"seed={wrong[0]!r:.100} must be a whole number >= 0; give one for each env, or a single one")
    if is_whole(seed):
        return [operator.index(seed) + i for i in range(num_envs)]
    if len(each) != num_envs:
        raise UserError(f"seed has {len(each)} numbers for {num_envs} envs; give one for each, or a single one")
    return [None if own is None else operator.index(own) for own in each]
