"""Bounds, open and closed; the message has the value, the rule and a remedy."""

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from metarl.errors import UserError
from metarl.validate import Bounds, Checked, Count, NotNegative, check_counts


def config(value, bounds):
    kind = tuple[Annotated[float, bounds], ...] if isinstance(value, tuple) else Annotated[float, bounds] | None
    return make_dataclass("Config", [("x", kind)], bases=(Checked,), frozen=True)(value)


@pytest.mark.parametrize(
    "value, bounds, passes",
    [
        (0, {"least": 0}, True),
        (0, {"above": 0}, False),
        (1.0, {"most": 1}, True),
        (1.0, {"below": 1}, False),
        (-1, {"least": 0}, False),
        (2, {"least": 0, "most": 1}, False),
        (float("inf"), {"least": 0}, True),
        (float("inf"), {"most": 10}, False),
        (float("nan"), {"least": 0}, False),
        (float("nan"), {"below": 0}, False),
        (None, {"least": 0}, True),
        ((64, 64), {"least": 1}, True),
        ((64, 0), {"least": 1}, False),
        ((), {"least": 1}, True),
        (True, {"least": 0}, False),
        ("1", {"least": 0}, False),
    ],
)
def test_bounds(value, bounds, passes):
    if passes:
        config(value, Bounds(**bounds))
    else:
        with pytest.raises(ValueError, match=r"^x=.* must be .*; "):
            config(value, Bounds(**bounds))


def test_message_has_value_rule_and_remedy():
    with pytest.raises(ValueError) as raised:
        config(-1, Bounds(above=0, most=1, remedy="pick a positive step size"))
    assert str(raised.value) == "x=-1 must be > 0 and <= 1; pick a positive step size"


@dataclass(frozen=True)
class Typed(Checked):
    steps: Count | None = 1
    sizes: tuple[Count, ...] = (1,)
    rate: NotNegative | None = 1.0
    kind: Literal["raise", "drop"] = "raise"
    kinds: tuple[Literal["a", "b"], ...] | None = ("a", "b")


def test_whole_numbers_are_whole():
    assert Typed(rate=2, steps=None, kinds=None) == Typed(rate=2.0, steps=None, kinds=None)
    for field, value in (("steps", 16.0), ("sizes", (8, 2.5))):
        with pytest.raises(ValueError, match=f"{field}=.* must be a whole number"):
            Typed(**{field: value})


def test_numbers_of_numpy_are_pythons_own_afterwards():
    typed = Typed(sizes=(np.int64(8), 4), rate=np.float32(0.5), steps=np.int64(3))  # type: ignore[arg-type]
    assert typed == Typed(sizes=(8, 4), rate=0.5, steps=3)
    assert {type(value) for value in (*typed.sizes, typed.steps)} == {int} and type(typed.rate) is float
    with pytest.raises(ValueError, match=r"steps=2\.0 must be a whole number"):
        Typed(steps=np.float64(2))  # type: ignore[arg-type]


def test_a_list_for_a_tuple_is_named():
    with pytest.raises(ValueError, match=r"^sizes=\[8, 8\] must be a tuple; write \(8, 8\)$"):
        Typed(sizes=[8, 8])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^sizes=array\(\[8, 8\]\) must be a tuple; write \(8, 8\)$"):
        Typed(sizes=np.array([8, 8]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^sizes=8 must be a tuple; write \(8,\)$"):
        Typed(sizes=8)  # type: ignore[arg-type]


def test_choices():
    assert Typed(kind="drop").kind == "drop"
    with pytest.raises(ValueError, match=r"kind='Raise' must be 'raise' or 'drop'; take one .*did you mean 'raise'"):
        Typed(kind="Raise")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kinds='c' must be 'a' or 'b'"):
        Typed(kinds=("a", "c"))  # type: ignore[arg-type]


def test_counts_of_flags():
    check_counts(rounds=None, episodes=1)
    with pytest.raises(UserError, match="--test-episodes 0 must be >= 1"):
        check_counts(rounds=2, test_episodes=0)
