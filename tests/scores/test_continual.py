"""Continual World's metrics against numbers worked out by hand, and against a slow reading of their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from metarl.scores.continual import areas, at_own_end, average_performance, forgetting, forward_transfer

TIMES = np.array([0.0, 50.0, 100.0, 150.0, 200.0])
SUCCESS = np.array([[0.0, 0.2], [0.5, 0.2], [1.0, 0.4], [0.8, 0.8], [0.4, 1.0]])
"""Two tasks of 100 env steps each: the first is learned by its end and then mostly forgotten."""
TWO = {"times": TIMES, "success": SUCCESS, "steps_per_task": 100}


def test_two_tasks_by_hand() -> None:
    assert average_performance(SUCCESS).tolist() == pytest.approx([0.1, 0.35, 0.7, 0.8, 0.7])
    assert at_own_end(**TWO).tolist() == [1.0, 1.0]
    assert forgetting(**TWO).tolist() == pytest.approx([0.6, 0.0])
    # 1/100 ((0 + 0.5)/2 50 + (0.5 + 1)/2 50), and 1/100 ((0.4 + 0.8)/2 50 + (0.8 + 1)/2 50)
    assert areas(**TWO).tolist() == pytest.approx([0.5, 0.75])
    # (0.5 - 0.5) / 0.5, and (0.75 - 0.5) / 0.5: half of what there was to gain
    assert forward_transfer(areas(**TWO), np.array([0.5, 0.5])).tolist() == pytest.approx([0.0, 0.5])


def test_a_task_that_gets_better_later_has_a_negative_forgetting_and_a_worse_start_a_negative_transfer() -> None:
    success = np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    found = forgetting(np.array([0.0, 10.0, 20.0]), success, steps_per_task=10)
    assert found.tolist() == [-0.5, 0.0]
    assert forward_transfer(np.array([0.0]), np.array([0.75])).tolist() == [-3.0]


def test_what_is_solved_alone_from_the_first_step_on_has_no_transfer() -> None:
    assert np.isnan(forward_transfer(np.array([1.0, 0.5, 0.5]), np.array([1.0, 0.0, np.nan]))).tolist() == [1, 0, 1]


def test_of_one_task_nothing_is_forgotten() -> None:
    success = np.array([[0.0], [1.0]])
    one = {"times": np.array([0.0, 10.0]), "success": success, "steps_per_task": 10}
    assert forgetting(**one).tolist() == [0.0]
    assert areas(**one).tolist() == [0.5]
    assert forward_transfer(areas(**one), np.array([0.5])).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(3))
def test_areas_are_those_of_a_slow_sum_over_unevenly_spaced_evaluations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tasks, steps = 4, 60
    ends = np.arange(tasks + 1) * steps
    times = np.unique(np.concatenate([ends, rng.choice(tasks * steps, 12)])).astype(float)
    success = rng.random((len(times), tasks))
    fine = np.arange(tasks * steps * 100 + 1) / 100
    for task, area in enumerate(areas(times, success, steps_per_task=steps)):
        p = np.interp(fine, times, success[:, task])
        middles = (p[1:] + p[:-1]) / 2
        assert area == pytest.approx(middles[task * steps * 100 : (task + 1) * steps * 100].mean())
