"""What a parameter of a task may be: an interval, an interval of magnitudes, or one of a few values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from metarl.config import check_plain
from metarl.errors import UserError
from metarl.validate import plain


@dataclass(frozen=True, kw_only=True)
class Range:
    """Made by `Uniform`, `LogUniform` or `Choice`; plain values, so that a run's config can store it."""

    kind: Literal["uniform", "log_uniform", "choice"]
    low: float = 0.0
    high: float = 0.0
    size: int | None = None
    """Independent draws as a list, or one number."""
    values: tuple[Any, ...] = ()

    def draw(self, rng: np.random.Generator) -> Any:
        """A JSON value."""
        if self.kind == "choice":
            return self.values[int(rng.integers(len(self.values)))]
        if self.kind == "uniform":
            drawn = rng.uniform(self.low, self.high, self.size)
        else:
            drawn = np.exp(rng.uniform(math.log(self.low), math.log(self.high), self.size))
        return float(drawn) if self.size is None else np.asarray(drawn).tolist()

    def fault(self, value: Any) -> str | None:
        """How `value` differs in kind or size from what is drawn, in words; it may lie outside the interval."""
        shape = self._shape()
        if shape is None:
            return None
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            array = np.asarray(None)
        if array.dtype.kind in "iuf" and array.shape == shape and np.isfinite(array).all():
            return None
        wanted = "a finite number" if not shape else f"{' x '.join(map(str, shape))} finite numbers"
        return f"must be {wanted}, as {self} draws; give such a value"

    def _shape(self) -> tuple[int, ...] | None:
        """Of a draw; None for a choice of other things than numbers of one shape."""
        if self.kind != "choice":
            return () if self.size is None else (self.size,)
        try:
            examples = np.asarray(self.values)
        except ValueError:  # lists of different lengths
            return None
        return examples.shape[1:] if examples.dtype.kind in "iuf" else None

    def __str__(self) -> str:
        if self.kind == "choice":
            return f"Choice({', '.join(map(repr, self.values))})"
        name = "Uniform" if self.kind == "uniform" else "LogUniform"
        return f"{name}({self.low:g}, {self.high:g}{'' if self.size is None else f', size={self.size}'})"


def Uniform(low: float, high: float, *, size: int | None = None) -> Range:
    """A number between `low` and `high`, or a list of `size` of them. Raises UserError if there is none between."""
    return _interval("uniform", low, high, size)


def LogUniform(low: float, high: float, *, size: int | None = None) -> Range:
    """As Uniform, with its logarithm uniform: for factors, such as LogUniform(0.5, 2). Both ends > 0."""
    return _interval("log_uniform", low, high, size)


def Choice(*values: Any) -> Range:
    """One of the values, each as likely: numbers, strings, or lists of them."""
    if not values:
        raise UserError("Choice() is empty: there is nothing to choose; name the values")
    values = plain(values)
    check_plain("Choice", list(values))
    return Range(kind="choice", values=values)


def _interval(kind: Literal["uniform", "log_uniform"], low: float, high: float, size: int | None) -> Range:
    name = "Uniform" if kind == "uniform" else "LogUniform"
    low, high = plain(low), plain(high)
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, (int, float)):
            raise UserError(f"{name}({low!r}, {high!r}) must go from one number to another; draw lists by size=")
    if kind == "log_uniform" and not low > 0:
        raise UserError(f"LogUniform({low:g}, {high:g}) has no logarithm at its low end; start above 0")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(
            f"{name}({low:g}, {high:g}) is empty: its low end must be below its high end and both finite; "
            "swap or widen them, and give a fixed value in `kwargs`"
        )
    size = plain(size)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise UserError(f"size={size!r} must be a whole number >= 1, or left out for a number that is no list")
    return Range(kind=kind, low=float(low), high=float(high), size=size)
