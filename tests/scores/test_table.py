"""The one table of scores: intervals that say what they are of, and records of old that still read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metarl.scores.stats import over_seeds_and_tasks, stratified_bootstrap, wilson
from metarl.scores.table import Evaluation, Scores, over_seeds, suites_from_json


def scores_of(success: np.ndarray, **changes: object) -> Scores:
    """(tasks, episodes) of success after one number of steps."""
    settings = {"conditions": ("sampled",), "steps": (0,), "tasks": tuple(map(str, range(len(success))))}
    return Scores(values={"success_any": success[None, None].astype(float)}, **settings | changes)


def test_nothing_but_successes_has_an_interval_with_a_width() -> None:
    """Of 150 episodes of 50 goals Wilson's lower bound is 0.975; condensed to the goals' means it is the same."""
    scores = scores_of(np.ones((50, 3)))
    (interval,) = scores.curve("sampled", "success_any")
    assert interval.mean == interval.high == 1.0 and interval.low == pytest.approx(0.975, abs=1e-3)
    assert scores.condensed().curve("sampled", "success_any") == [interval]
    assert suites_from_json(Evaluation(suites={"": scores.condensed()}).to_json())[""].curve(
        "sampled", "success_any"
    ) == [interval]


def test_of_two_tasks_the_episodes_are_resampled() -> None:
    """They are all tasks there are: which two were drawn is no question."""
    rng = np.random.default_rng(0)
    returns = np.array([-300.0, 400.0])[:, None] + rng.normal(0, 10, (2, 100))
    two = Scores(values={"return": returns[None, None]}, conditions=("sampled",), steps=(0,), tasks=("back", "forth"))
    (interval,) = two.curve("sampled", "return")
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 10 / np.sqrt(200), rel=0.2)


def test_wilson_by_hand() -> None:
    """10 trials, none a success: the upper bound is z^2 / (n + z^2)."""
    z2 = 1.959964**2
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.0, z2 / (10 + z2)))
    assert wilson(0.5, 4).low == pytest.approx(1 - wilson(0.5, 4).high)


@pytest.mark.parametrize("tasks, episodes", [(50, 3), (20, 5)])
def test_the_interval_of_a_success_near_1_covers_it(tasks: int, episodes: int) -> None:
    """At a true success of 0.99 the bootstrap alone covers 72 to 79 %, and 64 %."""
    rng = np.random.default_rng(0)
    covered = alone = 0
    for _ in range(300):
        scores = scores_of(rng.random((tasks, episodes)) < 0.99)
        (interval,) = scores.curve("sampled", "success_any")
        covered += interval.low <= 0.99 <= interval.high
        bootstrap = stratified_bootstrap(scores.of("sampled", "success_any")[0], samples=500)
        alone += bootstrap.low <= 0.99 <= bootstrap.high
    assert covered / 300 >= 0.93 and alone / 300 < 0.85


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_interval_over_seeds_and_tasks_covers_the_mean_of_new_seeds(seeds: int) -> None:
    """Scores of seed + task + noise; the truth is the mean over all seeds and all tasks there could be."""
    rng = np.random.default_rng(seeds)
    covered, repeats = 0, 1000
    for _ in range(repeats):
        values = rng.normal(0, 1, (seeds, 1)) + rng.normal(0, 2, (1, 50)) + rng.normal(0, 1, (seeds, 50))
        interval = over_seeds_and_tasks(values)
        covered += interval.low <= 0 <= interval.high
    assert covered / repeats >= 0.94


def test_one_seed_has_its_own_interval_and_several_one_over_seeds_and_tasks() -> None:
    rng = np.random.default_rng(0)
    one, other = (scores_of(rng.random((30, 2)) < p) for p in (0.3, 0.9))
    assert over_seeds([one], "sampled", "success_any") == one.curve("sampled", "success_any")
    (both,) = over_seeds([one, other], "sampled", "success_any")
    means = [float(s.per_task("success_any").mean()) for s in (one, other)]
    assert both.mean == pytest.approx(np.mean(means))
    assert both.low == 0 and both.high == 1  # two seeds so far apart tell next to nothing


def test_strata_narrow_the_interval_over_tasks() -> None:
    """Two classes of constant but different scores: which goals were drawn does not matter."""
    values = np.array([[0.0] * 5 + [1.0] * 5] * 2)
    assert over_seeds_and_tasks(values, ["a"] * 5 + ["b"] * 5) == (0.5, 0.5, 0.5)
    assert over_seeds_and_tasks(values).low < 0.2


def test_an_evaluation_comes_back_from_its_json() -> None:
    rng = np.random.default_rng(0)
    scores = Scores(
        values={"return": rng.normal(size=(2, 3, 4, 5)), "steps_to_success": np.zeros((2, 3, 4, 5))},
        conditions=("stochastic", "deterministic"),
        steps=(0, 1, 2),
        tasks=("a", "b", "c", "d"),
        strata=("x", "x", "y", "y"),
    )
    evaluation = Evaluation(suites={"": scores}, notes=("said",), record={"env_steps": 7})
    stored = json.loads(json.dumps(evaluation.to_json()))
    back = suites_from_json(stored)[""]
    assert (back.conditions, back.steps, back.tasks, back.strata) == (
        scores.conditions, scores.steps, scores.tasks, scores.strata,
    )  # fmt: skip
    np.testing.assert_allclose(back.values["return"], scores.values["return"], atol=1e-6)
    assert back.measures == ("return",) and stored["env_steps"] == 7
    assert evaluation.metrics()["eval/deterministic/return/2"] == pytest.approx(scores.per_task("return")[1, 2].mean())


def test_records_of_version_0_1_still_read() -> None:
    outcomes = {"return": [[[1.0, 3.0], [5.0, 7.0]]], "success_any": [[[0.0, 1.0], [1.0, 1.0]]]}
    policy = {"tasks": ["a", "b"], "strata": ["x", "y"], "outcomes": {"stochastic": outcomes}, "also_without": ["x"]}
    suites = suites_from_json(policy)
    assert suites[""].of("stochastic", "return").tolist() == [[2.0, 6.0]]
    assert suites["without x"].tasks == ("b",)
    few_shot = {
        "kind": "few-shot",
        "measure": "accuracy",
        "suites": {
            "5w1s": {
                "scores": {"inductive": {"0": [0.2, 0.2], "5": [0.8, 1.0]}},
                "out_of_scope": {"scores": {"auroc": [0.9, 0.7], "false_acceptance_at_95": [0.1, 0.3]}},
            }
        },
    }
    suites = suites_from_json(few_shot)
    assert suites["5w1s"].steps == (0, 5) and suites["5w1s"].of("inductive", "accuracy")[1].tolist() == [0.8, 1.0]
    assert suites["5w1s out of scope"].of("inductive", "auroc").tolist() == [[0.9, 0.7]]
