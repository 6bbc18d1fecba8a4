"""Bounds, open and closed; the message has the value, the rule and a remedy."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from metarl.errors import UserError
from metarl.validate import check_choices, check_counts, check_range


@dataclass(frozen=True)
class Config:
    x: Any


@pytest.mark.parametrize(
    "value, bounds, passes",
    [
        (0, {"low": 0}, True),
        (0, {"low": 0, "low_open": True}, False),
        (1.0, {"high": 1}, True),
        (1.0, {"high": 1, "high_open": True}, False),
        (-1, {"low": 0}, False),
        (2, {"low": 0, "high": 1}, False),
        (float("inf"), {"low": 0}, True),
        (float("inf"), {"high": 10}, False),
        (float("nan"), {"low": 0}, False),
        (float("nan"), {"high": 0, "high_open": True}, False),
        (float("nan"), {}, False),
        (None, {"low": 0}, True),
        ((64, 64), {"low": 1}, True),
        ((64, 0), {"low": 1}, False),
        ((), {"low": 1}, True),
        (True, {"low": 0}, False),
        ("1", {"low": 0}, False),
    ],
)
def test_bounds(value, bounds, passes):
    if passes:
        check_range(Config(value), "x", **bounds)
    else:
        with pytest.raises(ValueError, match=r"^x=.* must be .*; "):
            check_range(Config(value), "x", **bounds)


def test_message_has_value_rule_and_remedy():
    with pytest.raises(ValueError) as raised:
        check_range(Config(-1), "x", low=0, low_open=True, high=1, remedy="pick a positive step size")
    assert str(raised.value) == "x=-1 must be > 0 and <= 1; pick a positive step size"


@dataclass(frozen=True)
class Typed:
    steps: int | None = 1
    sizes: tuple[int, ...] = (1,)
    rate: float | None = 1.0
    kind: Literal["raise", "drop"] = "raise"


def test_whole_numbers_are_whole():
    check_range(Typed(rate=2), "rate", low=0)
    for field, value in (("steps", 16.0), ("sizes", (8, 2.5))):
        with pytest.raises(ValueError, match=f"{field}=.* must be a whole number"):
            check_range(Typed(**{field: value}), field, low=1)


def test_choices():
    check_choices(Typed(kind="drop"))
    with pytest.raises(ValueError, match=r"kind='Raise' must be 'raise' or 'drop'; take one .*did you mean 'raise'"):
        check_choices(Typed(kind="Raise"))  # type: ignore[arg-type]


def test_counts_of_flags():
    check_counts(rounds=None, episodes=1)
    with pytest.raises(UserError, match="--test-episodes 0 must be >= 1"):
        check_counts(rounds=2, test_episodes=0)
