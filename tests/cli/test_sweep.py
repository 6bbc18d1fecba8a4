"""`metarl sweep` as its user calls it."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from metarl.cli.main import main
from metarl.runs.checkpoint import load_latest
from metarl.runs.stop import EXIT_CODE as STOPPED
from tests.sweep.test_sweep import SMALL


def sweep(out: Path, *more: str) -> list[str]:
    return ["sweep", "navigation_maml", "--out", str(out), "--nice", "0", *SMALL, *more]


def scores_of(run: Path) -> tuple[dict, dict]:
    found = load_latest(run / "checkpoints")
    assert found is not None
    theta = {name: value.tolist() for name, value in found[0]["learner"]["theta"].items()}
    return theta, json.loads((run / "evaluation.json").read_text())["policies"]


@pytest.mark.thorough
def test_runs_of_a_sweep_equal_those_of_train_and_what_nothing_is_left_of_stays(tmp_path, capsys):
    assert main(sweep(tmp_path / "sweep", "--set", "inner_lr=0.2", "--seeds", "3")) == 0
    assert main(["train", "navigation_maml", "--out", str(tmp_path / "run"), *SMALL, "--inner-lr=0.2", "--seed=3"]) == 0
    assert scores_of(tmp_path / "sweep" / "inner_lr=0.2" / "seed3") == scores_of(tmp_path / "run")
    said = capsys.readouterr().out
    assert "1 of 1 runs" in said and "navigation_maml: return on held-out tasks" in said
    before = (tmp_path / "sweep" / "sweep.json").read_bytes()
    assert main(sweep(tmp_path / "sweep", "--set", "inner_lr=0.2", "--seeds", "3")) == 2
    assert "already holds a sweep; give --resume" in capsys.readouterr().err
    assert main(sweep(tmp_path / "sweep", "--set", "inner_lr=0.2", "--seeds", "3", "--resume")) == 0  # nothing to do
    assert (tmp_path / "sweep" / "sweep.json").read_bytes() == before


def test_scores_of_validation_tasks_make_no_record(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "navigation_maml", "--out", str(run), *SMALL, "--held-out", "val"]) == 0
    assert "over tasks (validation tasks)" in " ".join(capsys.readouterr().out.split())  # rich breaks the title
    assert main(["results", str(run), "--into", str(tmp_path / "mine")]) == 2
    assert "was scored on val tasks, by which settings are chosen" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["--set", "inner_rl=1,2"], "did you mean 'inner_lr'"),
        (["--seeds", "5:5"], "empty range"),
        (["--seed", "3"], "give --seeds"),
        (["--jobs", "0"], "--jobs 0 must be >= 1"),
        (["--nice", "40"], "--nice 40 must be from 0 to 19"),
        (["--measure", "retrun"], "did you mean 'return'?) is none of return, success_any, success_last; give one"),
        (["--set", "inner_lr=0.1,0.2", "--agent.inner-lr", "0.3"], "agent.inner_lr is swept and is given for all runs"),
        (["--preset", "fast"], "leave --preset out"),
        (["--maximize", "return"], "give --sampler optuna, or --measure return"),
        (["--sampler", "optuna"], "give --maximize or --minimize"),
        (["--sampler", "optuna", "--maximize", "return", "--print-slurm"], "no submit file can name them"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "navigation_maml", *words]) == 2
    errors = capsys.readouterr().err
    assert said in errors and len(errors.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_a_search_by_the_test_or_without_validation_tasks_is_refused(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    search = ["--sampler", "optuna", "--maximize", "return"]
    assert main(["sweep", "navigation_maml", *search, "--held-out", "test"]) == 2
    assert "leave out --held-out" in capsys.readouterr().err
    assert main(["sweep", "navigation_maml", "--sampler", "optuna", "--minimize", "mse"]) == 2
    assert "--minimize 'mse' is none of return, success_any" in capsys.readouterr().err
    assert main(["sweep", "cheetah_dir_maml", *search]) == 2
    assert "no tasks to choose settings by" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_once_and_not_by_each_run(tmp_path, capsys):
    assert main(sweep(tmp_path / "sweep", "--device", "cuda", "--seeds", "0:3")) == 2
    assert "torch finds no usable GPU here" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_a_submit_file_has_a_job_for_each_run(capsys, tmp_path):
    assert main(sweep(tmp_path / "sweep", "--set", "inner_lr=0.1,0.2", "--seeds", "0:3", "--print-slurm")) == 0
    text = capsys.readouterr().out
    assert "--array=0-5" in text and text.count("metarl train navigation_maml") == 6
    assert not (tmp_path / "sweep").exists()


@pytest.mark.thorough
def test_a_search_is_scored_on_the_validation_tasks_and_goes_on(tmp_path, capsys):
    pytest.importorskip("optuna")
    search = ["--sampler", "optuna", "--maximize", "return", "--set", "inner_lr", "--seeds", "0:2"]
    assert main(sweep(tmp_path, *search, "--trials", "2")) == 0
    assert main(sweep(tmp_path, *search, "--trials", "3", "--resume")) == 0
    said = capsys.readouterr().out
    assert "return on validation tasks" in said and "metarl train navigation_maml --agent.inner_lr=" in said
    evaluation = json.loads((tmp_path / "trial2" / "seed1" / "evaluation.json").read_text())
    assert evaluation["config"]["rl"]["evaluation"]["held_out"] == "val"
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    assert len(rows) == 6 and {row["state"] for row in rows} == {"done"}


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_a_sweep_stopped_and_killed_equals_an_undisturbed_one(tmp_path):
    """By SIGTERM, at which its runs save, and twice by SIGKILL, with which they end."""
    grid = ["--set", "inner_lr=0.05,0.1", "--seeds", "0:2", "--iterations", "2"]
    assert main(sweep(tmp_path / "reference", *grid)) == 0
    out, rng = tmp_path / "killed", random.Random(0)
    for attempt, (number, ended) in enumerate([(signal.SIGTERM, 1), (signal.SIGKILL, 1), (signal.SIGKILL, 2)]):
        command = [sys.executable, "-m", "metarl", *sweep(out, *grid), *(["--resume"] if attempt else [])]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        handle = psutil.Process(process.pid)
        while not handle.children() or len(list(out.glob("*/*/evaluation.json"))) < ended:
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1.5))
        children = handle.children(recursive=True)
        process.send_signal(number)
        assert process.wait(timeout=120) == (STOPPED if number == signal.SIGTERM else -number)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert children and not alive
    assert main(sweep(out, *grid, "--resume")) == 0
    runs = sorted(path.parent.relative_to(out) for path in out.glob("*/*/evaluation.json"))
    assert len(runs) == 4
    for run in runs:
        assert scores_of(out / run) == scores_of(tmp_path / "reference" / run)
    assert (out / "comparison.csv").read_bytes() == (tmp_path / "reference" / "comparison.csv").read_bytes()
