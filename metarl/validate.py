"""Range checks for the `__post_init__` of configs: the value, the rule and the remedy in one sentence."""

from __future__ import annotations

import math
from typing import Any


def check_range(
    config: Any,
    field: str,
    *,
    low: float | None = None,
    high: float | None = None,
    low_open: bool = False,
    high_open: bool = False,
    remedy: str = "",
) -> None:
    """Raise ValueError unless low <= config.field <= high (open ends: <). NaN never passes.

    Each item of a tuple is checked; None passes, as an optional field that is left out. `remedy` replaces the
    advice made from the bounds: 'inner_lr=-1 must be > 0; pick a positive step size'.
    """
    value = getattr(config, field)
    items = value if isinstance(value, tuple) else (value,)
    for item in items:
        if item is None:
            continue
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            raise ValueError(f"{field}={value!r} must be a number; give one {_rule(low, high, low_open, high_open)}")
        too_low = low is not None and (item <= low if low_open else item < low)
        too_high = high is not None and (item >= high if high_open else item > high)
        if math.isnan(item) or too_low or too_high:
            rule = _rule(low, high, low_open, high_open)
            advice = remedy or ("raise it" if too_low else "lower it" if too_high else "use a number")
            raise ValueError(f"{field}={value} must be {rule}; {advice}")


def _rule(low: float | None, high: float | None, low_open: bool, high_open: bool) -> str:
    bounds = []
    if low is not None:
        bounds.append(f"{'>' if low_open else '>='} {low}")
    if high is not None:
        bounds.append(f"{'<' if high_open else '<='} {high}")
    return " and ".join(bounds) or "a number"
