"""What a config's fields may hold: the type says it, and every config checks its own when it is made.

@dataclass(frozen=True, kw_only=True)
class StepConfig(Checked):
    lr: Positive = 1e-3
    hidden: tuple[Count, ...] = (64, 64)
    clip: Annotated[float, Bounds(above=0, most=1)] | None = None
    kind: Literal["first", "second"] = "first"
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from metarl.errors import SettingError, UserError, nearest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """Of a number, as a mark of its type. NaN never passes; `remedy` replaces the advice made from the bounds."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    remedy: str = ""

    def check(self, field: str, item: Any, *, of: Any = None, is_whole: bool = False) -> None:
        """Raise SettingError, a ValueError, unless the field's value, or an item `of` it, is None or within."""
        value = item if of is None else of
        if item is None:
            return
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            raise SettingError(f"{field}={value!r} must be a number; give one {self}")
        if is_whole and not isinstance(item, int):
            raise SettingError(f"{field}={value!r} must be a whole number; give one without a point")
        is_low = (self.least is not None and item < self.least) or (self.above is not None and item <= self.above)
        is_high = (self.most is not None and item > self.most) or (self.below is not None and item >= self.below)
        if is_low or is_high or item != item:
            advice = self.remedy or ("raise it" if is_low else "lower it" if is_high else "use a number")
            raise SettingError(f"{field}={value} must be {self}; {advice}")

    def __str__(self) -> str:
        signs = {">=": self.least, ">": self.above, "<=": self.most, "<": self.below}
        return " and ".join(f"{sign} {bound}" for sign, bound in signs.items() if bound is not None)


@dataclasses.dataclass(frozen=True)
class Search:
    """Of a number, as a mark of its type: a sweep may search it, from `low` to `high`, which are both included."""

    low: float
    high: float
    log: bool = True
    """Over its logarithm: 0.01 to 0.1 is then as wide as 0.1 to 1."""

    def __str__(self) -> str:
        return f"(search {self.low:g} to {self.high:g})"


Positive = Annotated[float, Bounds(above=0)]
NotNegative = Annotated[float, Bounds(least=0)]
Share = Annotated[float, Bounds(least=0, most=1)]
OpenShare = Annotated[float, Bounds(above=0, below=1)]
Count = Annotated[int, Bounds(least=1)]
Natural = Annotated[int, Bounds(least=0)]


class Checked:
    """A config that raises SettingError, a ValueError, where a field's value is not what its type allows.

    A subclass has its rules between fields in a `__post_init__` that begins with this one. A field that it declares
    anew is what the new type says.
    """

    def __post_init__(self) -> None:
        kinds = _kinds(type(self))
        for field in dataclasses.fields(self):  # type: ignore[arg-type] (a subclass is a dataclass)
            value = getattr(self, field.name)
            if (without_numpy := plain(value)) is not value:
                object.__setattr__(self, field.name, without_numpy)
            _check(field.name, without_numpy, kinds[field.name])


def plain(value: Any) -> Any:
    """Python's numbers in place of NumPy's, also within tuples, lists and dicts; the very value where there are none.

    JSON, in which a config is stored, has none of NumPy's.
    """
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        items = [plain(item) for item in value]
        return type(value)(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if type(value) is dict:
        values = {plain(key): plain(item) for key, item in value.items()}
        return values if any(values.get(key) is not item for key, item in value.items()) else value
    return value


def _check(field: str, item: Any, kind: Any, *, of: Any = None) -> None:
    """The value of a field, or an item `of` it that is to be of this kind."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        for mark in arguments[1:]:
            if isinstance(mark, Bounds):
                mark.check(field, item, of=of, is_whole=arguments[0] is int)
    elif origin is Literal and item not in arguments:
        close = nearest(str(item), map(str, arguments))
        raise SettingError(f"{field}={item!r} must be {' or '.join(map(repr, arguments))}; take one of them{close}")
    elif origin is tuple:
        if not isinstance(item, tuple):
            items = item.tolist() if isinstance(item, np.ndarray) else item
            remedy = f"write {tuple(items) if isinstance(items, list) else (item,)!r}"
            raise SettingError(f"{field}={item!r} must be a tuple; {remedy}")
        for inner in item:
            _check(field, inner, arguments[0], of=item)
    elif NoneType in arguments and item is not None:
        _check(field, item, arguments[0], of=of)


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    """The type of each field; kept, because each check of each config would evaluate all annotations again."""
    return get_type_hints(cls, include_extras=True)


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
