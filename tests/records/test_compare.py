"""Runs beside each other: the statistics by hand, and the command on runs on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metarl.cli.main import main
from metarl.config import config_to_dict
from metarl.errors import UserError
from metarl.experiments import navigation_maml
from metarl.records.compare import iqm_interval, probability_of_improvement, read_entries, training_curve
from metarl.records.results import add_result
from metarl.runs.log import EVALUATED_AT
from metarl.runs.same_config import settings_of
from metarl.scores.stats import iqm
from metarl.scores.table import Scores, over_seeds


def make_run(path, *, name, seed, returns, lr=0.1, success=False, tasks=None):
    """A finished run whose rounds of tasks of episodes have the given returns."""
    path.mkdir(parents=True)
    zeros = np.zeros_like(returns).tolist()
    outcomes = {
        "return": np.asarray(returns).tolist(),
        "success_any": (np.asarray(returns) > 0).astype(float).tolist() if success else zeros,
        "success_last": zeros,
    }
    num_tasks = np.shape(returns)[1]
    policy = {"tasks": tasks or [f"task{i}" for i in range(num_tasks)], "strata": ["all"] * num_tasks}
    policy |= {"outcomes": {"stochastic": outcomes}}
    config = {"experiment": name, "config": {"trainer": {"seed": seed, "iterations": 3}, "agent": {"lr": lr}}}
    evaluation = {"iterations": 3, "training_env_steps": 1000, "training_seconds": 5.0, "environment": {}}
    evaluation |= {"policies": {"meta-trained": policy}}
    rows = [{"iteration": i, "env_steps": 100 * i, "seconds": 1.0, "return/post": float(i)} for i in range(3)]
    (path / "config.json").write_text(json.dumps(config))
    (path / "evaluation.json").write_text(json.dumps(evaluation))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_probability_of_improvement_by_hand():
    """Task 1: x = (1, 3) against y = (2): 1/2. Task 2: (5, 5) against (5): ties, 1/2. Task 3: (9, 9) against 0: 1."""
    x, y = np.array([[1.0, 5.0, 9.0], [3.0, 5.0, 9.0]]), np.array([[2.0, 5.0, 0.0]])
    result = probability_of_improvement(x, y, ["a"] * 3)
    assert result.mean == pytest.approx((0.5 + 0.5 + 1.0) / 3)
    assert 0.0 <= result.low <= result.mean <= result.high <= 1.0
    assert probability_of_improvement(x, x, ["a"] * 3).mean == pytest.approx(0.5)


def test_the_iqms_interval_holds_it_and_shrinks_with_more_tasks():
    rng = np.random.default_rng(0)
    few, many = rng.normal(size=(3, 10)), rng.normal(size=(3, 1000))
    intervals = [iqm_interval(values, ["a"] * values.shape[1]) for values in (few, many)]
    for values, interval in zip((few, many), intervals, strict=True):
        assert interval.mean == pytest.approx(iqm(values)) and interval.low < interval.mean < interval.high
    assert intervals[1].high - intervals[1].low < 0.5 * (intervals[0].high - intervals[0].low)


def test_strata_keep_their_share_of_every_resample():
    """Two classes of constant but different scores: resampling within them changes nothing."""
    values = np.array([[0.0] * 5 + [1.0] * 5])
    interval = iqm_interval(values, ["a"] * 5 + ["b"] * 5)
    assert interval.low == interval.high == interval.mean == 0.5


def test_runs_that_differ_in_their_seed_alone_are_one_entry(tmp_path):
    returns = np.ones((2, 4, 3))
    paths = [
        make_run(tmp_path / "a1", name="maml", seed=1, returns=returns),
        make_run(tmp_path / "a2", name="maml", seed=2, returns=3 * returns),
        make_run(tmp_path / "b1", name="maml", seed=1, returns=returns, lr=0.5),
        make_run(tmp_path / "stored" / "seed1", name="other", seed=1, returns=returns).parent,
    ]
    entries = read_entries(paths)
    assert [len(entry.paths) for entry in entries] == [2, 1, 1]
    assert [entry.label for entry in entries] == [str(tmp_path / "a1"), str(tmp_path / "b1"), "stored"]
    assert entries[0].values("stochastic", "return").shape == (2, 2, 4)
    assert entries[0].values("stochastic", "return").mean() == 2.0


def test_settings_without_effect_and_later_fields_do_not_part_the_seeds(tmp_path):
    returns = np.ones((2, 4, 3))
    paths = [make_run(tmp_path / f"a{seed}", name="navigation_maml", seed=seed, returns=returns) for seed in (1, 2, 3)]
    for path, workers in zip(paths, (0, 1, 2), strict=True):
        config = config_to_dict(navigation_maml.config())
        config["trainer"]["seed"], config["rl"]["pool"]["workers"] = workers + 1, workers
        config["trainer"]["iterations"] = 3
        if workers == 2:
            del config["agent"]["judge_every_step"]  # of a run made before there was such a thing
        (path / "config.json").write_text(json.dumps({"experiment": "navigation_maml", "config": config}))
    (entry,) = read_entries(paths)
    assert len(entry.paths) == 3
    with pytest.raises(UserError, match="give each seed once"):
        read_entries([*paths, paths[0]])


def test_a_record_is_compared_by_its_name_or_its_file(tmp_path):
    run = make_run(tmp_path / "run", name="maml", seed=1, returns=np.ones((2, 4, 3)))
    (run / "versions.json").write_text("{}")
    (record,) = add_result(tmp_path, run)
    for given in (record, tmp_path / "maml"):
        (entry,) = read_entries([given])
        assert entry.label == "maml" and training_curve(entry.rows, "return/post") == (
            [0.0, 100.0, 200.0],
            [0.0, 1.0, 2.0],
        )
    with pytest.raises(UserError, match=r"there is no .*maaml"):
        read_entries([tmp_path / "maaml"])


def test_other_tasks_of_the_same_names_are_not_compared(tmp_path):
    returns = np.ones((2, 4, 3))
    names = ("ml1_reach_maml", "ml1_reach_rl2", "ml1_push_rl2")
    paths = [make_run(tmp_path / name, name=name, seed=1, returns=returns) for name in names]
    for path, reward, jitter in zip(paths, ("dense", "dense", "sparse"), (0.0, 0.1, 0.0), strict=True):
        stored = json.loads((path / "config.json").read_text())
        stored["config"]["tasks"] = {"reward": reward, "object_jitter": jitter}
        (path / "config.json").write_text(json.dumps(stored))
    assert len(read_entries(paths[:2])) == 2  # the jitter is of training alone
    with pytest.raises(UserError, match=r"are not the same: tasks\.reward was 'dense', now 'sparse'"):
        read_entries(paths)


@pytest.mark.parametrize("name", ["ml1_reach_maml", "mine.py"])
def test_a_setting_has_no_effect_by_its_whole_name_alone(name):
    """`workers` of an agent of your own is not `rl.pool.workers`."""
    config = {"agent": {"workers": 1, "object_jitter": 2}, "rl": {"pool": {"workers": 3, "lanes_per_group": 4}}}
    settings = settings_of({"experiment": name, "config": config | {"trainer": {"seed": 1, "device": "cpu"}}})
    assert "rl.pool.workers" not in settings and "trainer.device" not in settings and "trainer.seed" not in settings
    assert (settings["agent.workers"], settings["rl.pool.lanes_per_group"]) == (1, 4)


def test_a_training_curve_joins_the_same_iterations(tmp_path):
    """Seeds logged every iteration and every second one; scores are those of before the row's update."""
    paths = [make_run(tmp_path / f"a{seed}", name="maml", seed=seed, returns=np.ones((2, 4, 3))) for seed in (1, 2)]
    for path, every in zip(paths, (1, 2), strict=True):
        rows = [
            {"iteration": i, "env_steps": 100 * (i + 1), "return/post": float(i), "eval/x": 1.0, EVALUATED_AT: 100 * i}
            for i in range(0, 6, every)
        ]
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (entry,) = read_entries(paths)
    assert training_curve(entry.rows, "return/post") == ([100.0, 300.0, 500.0], [0.0, 2.0, 4.0])
    assert training_curve(entry.rows, "eval/x") == ([0.0, 200.0, 400.0], [1.0] * 3)
    assert training_curve(entry.rows, "return/pre") is None


def test_the_mean_of_several_seeds_has_the_interval_that_all_tables_have(tmp_path, capsys):
    """Of two seeds Student's t alone would reach from -2.5 to 3 here, and a share keeps within 0 and 1."""
    for seed, good in ((1, 0), (2, 5)):
        returns = np.full((1, 10, 2), -1.0)
        returns[0, :good] = 1.0
        make_run(tmp_path / f"seed{seed}", name="x", seed=seed, returns=returns, success=True)
    assert main(["compare", str(tmp_path / "seed1"), str(tmp_path / "seed2"), "--measure", "success_any"]) == 0
    (entry,) = read_entries([tmp_path / "seed1", tmp_path / "seed2"])
    (interval,) = over_seeds(entry.scores, "stochastic", "success_any")
    assert (interval.low, interval.high) == (0.0, 1.0)
    assert "0.25 [0.00, 1.00]" in capsys.readouterr().out


@pytest.mark.thorough
def test_the_command_prints_a_table_and_draws_a_picture(tmp_path, capsys):
    before, after = np.full((1, 5, 2), -5.0), np.full((1, 5, 2), 4.0)
    a = make_run(tmp_path / "a", name="weak", seed=1, returns=np.concatenate([before, before]), success=True)
    b = make_run(tmp_path / "b", name="strong", seed=1, returns=np.concatenate([before, after]), success=True)
    plot = tmp_path / "plot.png"
    assert main(["compare", str(a), str(b), "--measure", "return", "--plot", str(plot)]) == 0
    table = capsys.readouterr().out
    rows = [line.split() for line in table.splitlines()]
    assert [row[:2] for row in rows[:2]] == [["1", "weak:"], ["2", "strong:"]]
    assert any(row[-6:] == ["4.00", "[4.00,", "4.00]", "1.00", "[1.00,", "1.00]"] for row in rows)
    assert plot.stat().st_size > 10_000
    assert main(["compare", str(a), str(b), "--plot", str(plot)]) == 0  # success, by itself
    assert "success, any" in capsys.readouterr().out
    assert main(["compare", str(a), "--plot", str(plot)]) == 0  # alone
    assert "P(better" not in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused_with_the_reason(tmp_path):
    returns = np.ones((1, 3, 1))
    a = make_run(tmp_path / "a", name="maml", seed=1, returns=returns)
    other_tasks = make_run(tmp_path / "b", name="rl2", seed=1, returns=returns, tasks=["x", "y", "z"])
    with pytest.raises(UserError, match="same held-out tasks"):
        read_entries([a, other_tasks])
    scores = Scores(values={"accuracy": np.ones((1, 1, 3, 1))}, conditions=("inductive",), steps=(0,), tasks=("x",) * 3)
    few_shot = make_run(tmp_path / "c", name="proto", seed=1, returns=returns)
    record = json.loads((few_shot / "evaluation.json").read_text())
    record["policies"]["meta-trained"] = {"suites": {"5w1s": scores.to_json()}}
    (few_shot / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="maml was evaluated on episodes of reinforcement learning and proto on 5w1s;"):
        read_entries([a, few_shot])
    with pytest.raises(UserError, match="neither a run nor a record"):
        read_entries([tmp_path])
    with pytest.raises(UserError, match=r"there is no .*/aa \(did you mean 'a'\?\)"):
        read_entries([tmp_path / "aa"])
    with pytest.raises(UserError, match=r"metrics\.jsonl is no directory"):
        read_entries([a / "metrics.jsonl"])
    (a / "evaluation.json").unlink()
    with pytest.raises(UserError, match="let the run end"):
        read_entries([a])
    with pytest.raises(UserError, match="deterministic"):
        read_entries([other_tasks])[0].values("deterministic", "return")
