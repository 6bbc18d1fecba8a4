"""Every registered distribution can be made, names itself, and survives the way to a worker."""

from __future__ import annotations

import pickle

import pytest

from envs.registry import ENVS

NEEDS_LONG_LISTS = {"ml10", "ml25", "ml45", "mt10", "mt25", "mt50"}
"""Building their goal lists takes 9 to 37 s where no cache is warm."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in NEEDS_LONG_LISTS)) for name in ENVS]
)
def test_a_registered_distribution_is_whole(name: str) -> None:
    tasks = ENVS[name].make()
    assert tasks.name and ENVS[name].description
    copy = pickle.loads(pickle.dumps(tasks))
    assert copy.spec == tasks.spec
    test = tasks.meta_test()
    assert len(test) == len({task.id for task in test}) > 0
    assert test == tasks.meta_test()


def test_distributions_have_names_of_their_own() -> None:
    names = [entry.make().name for entry in ENVS.values()]
    assert len(set(names)) == len(names)
