"""Checks for the `__post_init__` of configs: the value, the rule and the remedy in one sentence."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from metarl.errors import SettingError, UserError, nearest


def check_choices(config: Any) -> None:
    """Raise SettingError, a ValueError, where a field of a Literal type has none of its values.

    Each item of a tuple of such is checked.
    """
    for field, kind in _kinds(type(config)).items():
        value = getattr(config, field)
        if get_origin(kind) is tuple:
            for item in value:
                _check_choice(field, item, get_args(kind)[0])
        else:
            _check_choice(field, value, kind)


def _check_choice(field: str, value: Any, kind: Any) -> None:
    choices = get_args(kind)
    if get_origin(kind) is Literal and value not in choices:
        close = nearest(str(value), map(str, choices))
        raise SettingError(f"{field}={value!r} must be {' or '.join(map(repr, choices))}; take one of them{close}")


def check_counts(**counts: int | None) -> None:
    """Raise UserError naming a flag of the command line that is below 1; None is a flag left out."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"--{name.replace('_', '-')} {count} must be >= 1; raise it, or leave it out")


def check_unused(config: Any, names: Sequence[str], *, why: str) -> None:
    """Raise SettingError for an inherited field that has no effect here and was set all the same."""
    for name in names:
        if (value := getattr(config, name)) != type(config).__dataclass_fields__[name].default:
            raise SettingError(f"{name}={value!r} has no effect here, for {why}; leave it out")


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
    """Raise SettingError, a ValueError, unless low <= config.field <= high (open ends: <). NaN never passes.

    Each item of a tuple is checked; None passes, as an optional field that is left out. `remedy` replaces the
    advice made from the bounds: 'inner_lr=-1 must be > 0; pick a positive step size'.
    """
    value = getattr(config, field)
    items = value if isinstance(value, tuple) else (value,)
    kind = _kinds(type(config))[field]
    is_whole = float not in (kind, *get_args(kind)) and int in (kind, *get_args(kind))
    for item in items:
        if item is None:
            continue
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            raise SettingError(f"{field}={value!r} must be a number; give one {_rule(low, high, low_open, high_open)}")
        if is_whole and not isinstance(item, int):
            raise SettingError(f"{field}={value!r} must be a whole number; give one without a point")
        too_low = low is not None and (item <= low if low_open else item < low)
        too_high = high is not None and (item >= high if high_open else item > high)
        if math.isnan(item) or too_low or too_high:
            rule = _rule(low, high, low_open, high_open)
            advice = remedy or ("raise it" if too_low else "lower it" if too_high else "use a number")
            raise SettingError(f"{field}={value} must be {rule}; {advice}")


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    """The type of each field; kept, because each check of each config would evaluate all annotations again."""
    return get_type_hints(cls)


def _rule(low: float | None, high: float | None, low_open: bool, high_open: bool) -> str:
    bounds = []
    if low is not None:
        bounds.append(f"{'>' if low_open else '>='} {low}")
    if high is not None:
        bounds.append(f"{'<' if high_open else '<='} {high}")
    return " and ".join(bounds) or "a number"
