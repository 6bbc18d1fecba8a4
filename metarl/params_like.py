"""Whether a task's params, as a user wrote them, are of the kind that the distribution draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def check_like(params: Any, example: Any, *, what: str = "params") -> None:
    """Raises ValueError where names, lengths of lists, or kinds of values differ from those of `example`."""
    if isinstance(example, Mapping):
        if not isinstance(params, Mapping):
            raise ValueError(f"{what} must hold {', '.join(example)}")
        if wrong := sorted(example.keys() ^ params.keys()):
            raise ValueError(f"{', '.join(map(repr, wrong))} missing or unknown")
        for name, value in example.items():
            check_like(params[name], value, what=name)
    elif isinstance(example, (list, tuple)):
        if not isinstance(params, (list, tuple)) or len(params) != len(example):
            raise ValueError(f"{what}={params!r} must be a list of {len(example)}")
        for value, other in zip(params, example, strict=True):
            check_like(value, other, what=f"a part of {what}")
    elif isinstance(example, (int, float)):
        is_number = isinstance(params, (int, float)) and not isinstance(params, bool)
        if not (is_number and math.isfinite(params)):
            raise ValueError(f"{what}={params!r} must be a finite number")
