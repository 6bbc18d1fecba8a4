"""Stored records and the table that is made from them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from metarl.errors import UserError
from metarl.records.compare import read_entries
from metarl.records.results import add_result, table_of
from metarl.records.side_by_side import side_by_side, verdict
from metarl.records.stored import read_record


def make_run(path: Path, *, seed: int, success: list[list[float]]) -> Path:
    """A finished run whose only round of evaluation has the given success, tasks of episodes."""
    path.mkdir()
    outcomes = {
        "return": [[[10.0 * e for e in t] for t in success]],
        "success_any": [success],
        "success_last": [[[0.0 for _ in t] for t in success]],
    }
    record = {
        "iterations": 3,
        "training_env_steps": 1000,
        "training_seconds": 5.0,
        "environment": {"cpu_count": 2, "mujoco": "3.3.0", "metaworld": "3.1.1", "torch": "2.13.0"},
        "policies": {
            "meta-trained": {
                "tasks": [f"{path.name} {i}" for i in range(len(success))],
                "outcomes": {"stochastic": outcomes},
            }
        },
    }
    (path / "evaluation.json").write_text(json.dumps(record))
    config = {"experiment": "some_maml", "config": {"trainer": {"seed": seed, "iterations": 3}}}
    (path / "config.json").write_text(json.dumps(config))
    (path / "versions.json").write_text("{}")
    (path / "metrics.jsonl").write_text("")
    return path


def test_the_table_gives_the_mean_over_seeds_and_each_seed(tmp_path: Path) -> None:
    for seed, success in ((1, [[1.0, 1.0], [1.0, 0.0]]), (2, [[1.0, 0.0], [0.0, 0.0]])):
        add_result(tmp_path / "results", make_run(tmp_path / f"run{seed}", seed=seed, success=success))
    table = table_of(tmp_path / "results")
    (row,) = [line for line in table.splitlines() if "| 0 |" in line]
    # seed 1 has 3/4, seed 2 has 1/4
    assert "**0.500**" in row and "(0.750, 0.250)" in row and "(7.50, 2.50)" in row


def test_a_run_that_was_not_evaluated_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=1, success=[[1.0]])
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match=r"evaluation\.json"):
        add_result(tmp_path / "results", run)
    assert not (tmp_path / "results").exists()


def test_two_runs_of_one_seed_are_not_stored_at_once(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, seed=1, success=[[1.0]]) for name in ("a", "b")]
    with pytest.raises(UserError, match=r"/a and .*/b are both of seed 1 of .*; give each seed once"):
        add_result(tmp_path / "results", *runs)
    assert not (tmp_path / "results").exists()


def test_runs_of_other_settings_are_no_seeds_of_a_result(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"run{seed}", seed=seed, success=[[1.0]]) for seed in (1, 2)]
    for run, workers, inner_lr in zip(runs, (1, 2), (0.1, 0.5), strict=True):
        stored = json.loads((run / "config.json").read_text())
        stored["config"] |= {"agent": {"inner_lr": inner_lr}, "rl": {"pool": {"workers": workers}}}
        (run / "config.json").write_text(json.dumps(stored))
    add_result(tmp_path / "results", runs[0])
    with pytest.raises(UserError, match=r"agent\.inner_lr was 0\.1, now 0\.5; store it under another --name"):
        add_result(tmp_path / "results", runs[1])
    assert [seed.number for seed in read_record(tmp_path / "results" / "some_maml.json").seeds] == [1]
    add_result(tmp_path / "results", runs[1], name="some_maml_faster")
    add_result(tmp_path / "results", runs[0])  # again: it replaces itself
    other = make_run(tmp_path / "other", seed=1, success=[[0.0]])  # and nothing else does
    with pytest.raises(UserError, match=r"agent\.inner_lr was 0\.1, now 'absent'"):
        add_result(tmp_path / "results", other)
    (seed,) = read_record(tmp_path / "results" / "some_maml.json").seeds
    assert seed.suites("meta-trained")[""].of("stochastic", "success_any") == [[1.0]]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"iterations": 2}, "was evaluated after 2 of its 3 iterations; let it end with --resume"),
        ({"training_seconds": None}, "lacks training_seconds; evaluate the run again"),
    ],
)
def test_an_evaluation_from_before_the_end_is_no_record(change: dict, said: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=1, success=[[1.0]])
    record = json.loads((run / "evaluation.json").read_text()) | change
    (run / "evaluation.json").write_text(json.dumps({k: v for k, v in record.items() if v is not None}))
    with pytest.raises(UserError, match=said):
        add_result(tmp_path / "results", run)
    with pytest.raises(UserError, match=said):
        read_entries([run])
    assert not (tmp_path / "results").exists()


def test_seeds_are_no_more_tasks(tmp_path: Path) -> None:
    """Two seeds that agree task by task tell no more about the tasks than one of them."""
    success = [[float(i % 2)] for i in range(40)]
    intervals = []
    for seeds in ((1,), (1, 2)):
        results = tmp_path / f"results{len(seeds)}"
        for seed in seeds:
            add_result(results, make_run(tmp_path / f"run{len(seeds)}{seed}", seed=seed, success=success))
        table = table_of(results)
        (row,) = [line for line in table.splitlines() if "| 0 |" in line]
        mean, low, high = re.findall(r"\d\.\d+", row.split("|")[6])[:3]
        intervals.append((float(mean), float(low), float(high)))
    np.testing.assert_allclose(intervals[0], intervals[1], atol=0.02)
    assert intervals[0][0] == 0.5 and intervals[1][2] - intervals[1][1] > 0.3


def test_seeds_of_different_mujocos_are_not_merged(tmp_path: Path) -> None:
    for seed in (1, 2):
        run = make_run(tmp_path / f"run{seed}", seed=seed, success=[[1.0]])
        record = json.loads((run / "evaluation.json").read_text())
        record["environment"]["mujoco"] = f"3.{seed}.0"
        (run / "evaluation.json").write_text(json.dumps(record))
        add_result(tmp_path / "results", run)
    with pytest.raises(UserError, match=r"mujoco 3\.1\.0 and 3\.2\.0"):
        table_of(tmp_path / "results")


def test_first_come_maxima_and_classes_trained_on_stand_beside_the_final_score(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=1, success=[[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    record = json.loads((run / "evaluation.json").read_text())
    record["policies"]["meta-trained"] |= {
        "strata": ["basketball-v3", "reach-v3", "reach-v3"],
        "also_without": ["basketball-v3"],
        "success_first_come": {"stochastic": [0.9]},
    }
    (run / "evaluation.json").write_text(json.dumps(record))
    scores = [
        {"iteration": i, "env_steps": i, "eval/stochastic/success_any/0": s}
        for i, s in ((0, 0.1), (10, 0.7), (20, 0.4))
    ]
    (run / "metrics.jsonl").write_text(
        "\n".join(json.dumps(row) for row in [*scores, {"iteration": 21, "env_steps": 21}])
    )
    add_result(tmp_path / "results", run)
    table = table_of(tmp_path / "results")
    text = " ".join(table.split())
    assert "| meta-trained | without basketball-v3 | stochastic | 0 |" in text and "**0.250**" in text
    assert "counted as metaworld 3.1.1 does (first come, biased upwards): 0.900" in text
    record["environment"]["mujoco"] = "3.4.0"
    (run / "evaluation.json").write_text(json.dumps(record))
    add_result(tmp_path / "results", run)
    table = table_of(tmp_path / "results")
    other = " ".join(table.split())
    assert "not compared with published scores" in other and "0.900" not in other
    assert "maximum over 3 evaluations during training" in text and "success, any step 0.700 at iteration 10" in text


def test_the_interval_resamples_within_classes(tmp_path: Path) -> None:
    """Two classes, one always solved and one never: resampling within them changes nothing."""
    run = make_run(tmp_path / "run", seed=1, success=[[1.0]] * 4 + [[0.0]] * 4)
    record = json.loads((run / "evaluation.json").read_text())
    record["policies"]["meta-trained"]["strata"] = ["reach-v3"] * 4 + ["push-v3"] * 4
    (run / "evaluation.json").write_text(json.dumps(record))
    add_result(tmp_path / "results", run)
    table = table_of(tmp_path / "results")
    (row,) = [line for line in table.splitlines() if "| 0 |" in line]
    # of the return, which nothing but the tasks' means tells; eight episodes are no more than eight
    assert "**5.00** [5.00, 5.00]" in row and "**0.500** [0.215, 0.785]" in row


def test_records_keep_each_tasks_mean_and_the_same_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=1, success=[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    (stored,) = add_result(tmp_path / "results", run)
    (seed,) = read_record(stored).seeds
    scores = seed.suites("meta-trained")[""]
    assert scores.samples_per_task == 3 and scores.values["return"].shape == (1, 1, 3, 1)
    assert scores.of("stochastic", "success_any").tolist() == [[pytest.approx(2 / 3, abs=1e-6), 0.0, 1.0]]
    assert scores.of("stochastic", "return").tolist() == [[pytest.approx(20 / 3, rel=2**-16), 0.0, 10.0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0, 100], [1, 102]], "yes"),  # tasks differ by far more than the gain, which every task has
        ([[0, 100], [9, 95]], "no"),  # one gains, one loses
        ([[0, 100], [9, 109], [3, 104]], "yes, then falls"),
        ([[0, 100], [9, 109], [8, 110]], "yes"),
        ([[0, 100], [-9, 91]], "no"),
        ([[0, 100]], "no"),
    ],
)
def test_adaptation_is_claimed_where_the_gain_of_the_same_tasks_is_above_0(values: list, said: str) -> None:
    assert verdict([np.array([points], float) for points in values], ["", ""]) == said


@pytest.mark.thorough
def test_adaptation_without_any_effect_is_seldom_claimed() -> None:
    """Nine steps of noise: the best of them looked like a gain in every sixth case."""
    rng = np.random.default_rng(0)
    claims = sum(verdict(list(rng.normal(size=(10, 1, 50))), [""] * 50) != "no" for _ in range(25))
    assert claims <= 3


def record(returns: list[list[float]], tasks: list[str]) -> dict:
    outcomes = {"return": [[[x] for x in tasks_] for tasks_ in returns]}
    policy = {"tasks": tasks, "outcomes": {"stochastic": outcomes}}
    return {"training_env_steps": 2_000_000, "policies": {"meta-trained": policy}}


def config(adaptation_episodes: int, **tasks: object) -> dict:
    evaluation = {"adaptation_episodes": adaptation_episodes}
    return {"experiment": "ml1_reach_maml", "config": {"tasks": tasks, "rl": {"evaluation": evaluation}}}


def test_results_on_the_same_tasks_stand_beside_each_other_best_first(tmp_path: Path) -> None:
    results = {
        "still": [record([[1.0, 3.0], [1.0, 3.0]], ["a", "b"])],
        "adapts": [record([[1.0, 3.0], [11.0, 13.0], [21.0, 23.0]], ["a", "b"])] * 2,
        "elsewhere": [record([[0.0]], ["c"])],
        "the same names for other tasks": [record([[1.0, 3.0], [1.0, 3.0]], ["a", "b"])],
    }
    configs = {
        "still": config(20, reward="dense", object_jitter=0.1),
        "adapts": config(10, reward="dense", object_jitter=0.0),
        "elsewhere": config(10),
        "the same names for other tasks": config(10, reward="sparse"),
    }
    lines = list(side_by_side(results, configs))
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert len([line for line in lines if line.startswith("## ")]) == 1
    assert "elsewhere" not in " ".join(lines) and "other tasks" not in " ".join(lines)
    assert rows[-2].startswith(
        "| adapts | 2 | 2.0 | 10 | 2.0 [-10.7, 14.7] | 12.0 [-0.7, 24.7] | 22.0 [9.3, 34.7] | 20.0 [20.0, 20.0] | yes"
    )
    assert rows[-1].startswith("| still | 1 | 2.0 | 20 |") and rows[-1].endswith("|  | 0.0 [0.0, 0.0] | no |")


def test_the_untrained_policy_stands_below_those_on_the_same_tasks() -> None:
    scores = record([[1.0, 3.0], [5.0, 7.0]], ["a", "b"])["policies"]["meta-trained"]
    zero = record([[0.0, 0.0], [0.0, 0.0]], ["a", "b"])["policies"]["meta-trained"]
    both = record([[1.0, 3.0], [5.0, 7.0]], ["a", "b"]) | {"policies": {"meta-trained": scores, "untrained": zero}}
    lines = list(side_by_side({"one": [both], "other": [both]}, {"one": config(10), "other": config(10)}))
    rows = [line for line in lines if line.startswith("| ")][-3:]
    assert [row.split(" | ")[0] for row in rows] == ["| one", "| other", "| untrained, as one"]
    assert rows[-1].startswith(
        "| untrained, as one | 1 | 0.0 | 10 | 0.0 [0.0, 0.0] | 0.0 [0.0, 0.0] | 0.0 [0.0, 0.0] | no"
    )


def test_what_no_record_can_hold_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    """Written it would be refused by all that read it, and the old one gone."""
    run, results = make_run(tmp_path / "run", seed=0, success=[[1, 0]]), tmp_path / "results"
    (record,) = add_result(results, run)
    before = record.read_bytes()
    many = {f"eval/stochastic/success_any/{i}": 1.0 for i in range(200)}
    (run / "metrics.jsonl").write_text(json.dumps({"iteration": 0, "env_steps": 1, **many}) + "\n")
    with pytest.raises(UserError, match="hold more than a record can"):
        add_result(results, run)
    assert record.read_bytes() == before
