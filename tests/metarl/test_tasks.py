"""Splits must not share a task."""

import pytest

from metarl.errors import UserError
from metarl.tasks import check_disjoint, params_key
from metarl.types import Task


def test_a_task_in_both_splits_is_named_with_its_twin():
    train = [
        Task("train/0", {"goal": [1.0, 2.0], "mass": 1}),
        Task("train/1", {"goal": [3.0, 4.0], "mass": 1}),
    ]
    check_disjoint(train, [Task("test/0", {"goal": [1.0, 2.5], "mass": 1})])
    check_disjoint(train, [])
    leak = Task("test/7", {"mass": 1, "goal": [3.0, 4.0]})  # equal whatever its id and the order of its keys
    with pytest.raises(UserError, match=r"'test/7' equals meta-train task 'train/1'.*disjoint"):
        check_disjoint(train, [Task("test/0", {}), leak])


def test_params_key_tells_tasks_apart():
    assert params_key(Task("a", {"x": 1.0, "y": 2})) == params_key(Task("b", {"y": 2, "x": 1.0}))
    assert params_key(Task("a", {"x": 0.1})) != params_key(Task("a", {"x": 0.1 + 2e-17}))
