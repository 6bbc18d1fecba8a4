"""Flags to pairs: only the syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarl.config import parse_flags
from metarl.errors import UserError


@pytest.mark.parametrize(
    "line, pairs",
    [
        ("", []),
        ("--seed 3", [("seed", "3")]),
        ("--inner-lr=0.1 --inner_lr 0.2", [("inner_lr", "0.1"), ("inner_lr", "0.2")]),
        ("--x -1 --y -1e-3 --z -inf", [("x", "-1"), ("y", "-1e-3"), ("z", "-inf")]),
        ("--first-order --seed 1", [("first_order", "true"), ("seed", "1")]),
        ("--seed 1 --no-first-order", [("seed", "1"), ("no_first_order", "true")]),
        ("--a.b-c=x=y", [("a.b_c", "x=y")]),
        ("--name=", [("name", "")]),
        ("--name=--odd", [("name", "--odd")]),
    ],
)
def test_pairs(line, pairs):
    assert parse_flags(line.split()) == pairs


@pytest.mark.parametrize("line", ["stray", "--seed 1 2", "-s 1", "--", "--=3", "--seed -s"])
def test_stray_words(line):
    with pytest.raises(UserError, match="unexpected argument"):
        parse_flags(line.split())


@given(st.lists(st.tuples(st.from_regex(r"[a-z_]{1,5}(\.[a-z_]{1,5})?", fullmatch=True), st.text())))
def test_any_value_comes_through_the_form_with_an_equals_sign(pairs):
    assert parse_flags([f"--{name}={value}" for name, value in pairs]) == pairs
