"""Randomness follows from its key alone."""

import itertools

import numpy as np
import pytest
import torch

from metarl.errors import UserError
from metarl.seeding import Stream, checked_key, numpy_rng, torch_rng


def test_equal_keys_give_equal_numbers_and_different_keys_different_ones():
    keys = [(0,), (1,), (0, 0), (0, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (2**40, 1)]
    for draw in (
        lambda key: numpy_rng(key).random(4),
        lambda key: torch.rand(4, generator=torch_rng(key)).numpy(),
    ):
        drawn = [draw(key) for key in keys]
        for key, values in zip(keys, drawn, strict=True):
            np.testing.assert_array_equal(draw(key), values)
        for a, b in itertools.combinations(drawn, 2):
            assert not np.array_equal(a, b)


def test_streams_are_distinct_and_read_as_numbers():
    assert len({int(stream) for stream in Stream}) == len(Stream)
    np.testing.assert_array_equal(numpy_rng((3, Stream.COLLECT)).random(3), numpy_rng((3, 2)).random(3))
    assert f"seed {(3, Stream.COLLECT, 0)}" == "seed (3, 2, 0)"  # as error messages show it


def test_seeds_do_not_touch_the_global_generators():
    torch.manual_seed(0)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    numpy_rng((0, 1)).random(10)
    torch.rand(10, generator=torch_rng((0, 1)))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_numbers_stay_what_they_are():
    """Results of published runs hang on these."""
    assert numpy_rng((1, 2, 3)).integers(1000, size=3).tolist() == [925, 89, 40]
    assert torch.randint(1000, (3,), generator=torch_rng((1, 2, 3))).tolist() == [546, 682, 262]


def test_a_seed_that_is_no_tuple_is_named():
    assert checked_key((0, Stream.TASKS, np.int64(3))) == (0, 1, 3)
    for seed, remedy in (
        (0, r"\(0,\) for one"),
        *((bad, r"one such as \(0, 1\)") for bad in ("ab", (0, 1.5), (-1,), [0], ())),
    ):
        with pytest.raises(UserError, match=rf"^seed=.* must be a tuple of whole numbers >= 0; write {remedy}"):
            checked_key(seed)  # type: ignore[arg-type]
