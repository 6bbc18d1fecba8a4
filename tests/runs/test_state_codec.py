"""What goes into a state comes out equal; what cannot is refused by name."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarl.runs.state_codec import MAX_DEPTH, decode_state, encode_state

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool]

tensors = st.builds(
    lambda dtype, shape: torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=3),
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | st.text() | tensors
keys = st.text(max_size=3) | st.sampled_from(["a", "a.b", "b", "0", ""])  # dots, to make names collide
states = st.dictionaries(
    keys,
    st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(keys, inner, max_size=3)
        ),
        max_leaves=10,
    ),
)


def assert_equal(left, right):
    """Same structure, types, values; tensors also by dtype and shape."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        torch.testing.assert_close(left, right, rtol=0, atol=0)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_equal(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    else:
        assert left == right


@settings(max_examples=50)
@given(states)
def test_round_trip_through_json(state):
    tree, flat = encode_state(state)
    assert_equal(decode_state(json.loads(json.dumps(tree)), flat), state)


def test_tensors_are_copies_named_by_their_place():
    weight = torch.zeros(2, requires_grad=True)
    _, flat = encode_state({"policy": {"layers": [weight, weight.t()]}})
    assert set(flat) == {"policy.layers.0", "policy.layers.1"}
    flat["policy.layers.0"].fill_(1.0)
    assert weight.sum() == 0
    assert not flat["policy.layers.0"].requires_grad


@pytest.mark.parametrize(
    "value, error, message",
    [
        ({1, 2}, TypeError, "a.b is a set"),
        ({1: 2}, TypeError, "a.b has the key 1"),
        ({"$tensor": "x"}, TypeError, "reserved"),
        (torch.eye(2).to_sparse(), TypeError, "a.b is a tensor"),
        (float("nan"), ValueError, "a.b=nan must be finite"),
        (float("inf"), ValueError, "a.b=inf must be finite"),
    ],
)
def test_refuses_by_name_what_json_and_tensors_cannot_hold(value, error, message):
    with pytest.raises(error, match=message):
        encode_state({"a": {"b": value}})


def test_depth_has_the_same_limit_both_ways():
    def nest(depth):
        state = {}
        for _ in range(depth):
            state = {"k": state}
        return state

    tree, _ = encode_state(nest(MAX_DEPTH))
    decode_state(tree, {})
    with pytest.raises(ValueError, match="deeper"):
        encode_state(nest(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="deeper"):
        decode_state(nest(MAX_DEPTH + 1), {})


@pytest.mark.parametrize(
    "tree, names, message",
    [
        ({"w": {"$tensor": "w"}}, [], "no tensor 'w'"),
        ({}, ["w"], "does not name the tensor 'w'"),
        ({"a": {"$tensor": "w"}, "b": {"$tensor": "w"}}, ["w"], "no tensor 'w'"),
        ([], [], "an object, not a list"),
    ],
)
def test_tree_and_tensors_must_fit(tree, names, message):
    with pytest.raises(ValueError, match=message):
        decode_state(tree, {name: torch.zeros(1) for name in names})
