"""What long work tells of its progress, and how it is shown."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
import torch

from metarl.agents.maml import MAMLConfig, maml
from metarl.cli.main import main
from metarl.envs.navigation import Navigation
from metarl.experiments.sinusoid_maml import build, config
from metarl.progress import heard_by, one_part, tell_progress
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.runs.progress_bar import progress_bar
from metarl.scores.rl import adapt_and_test

SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "1", "--workers", "0"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_parts_tell_their_share_of_the_whole() -> None:
    heard: list[float] = []
    with heard_by(heard.append):
        for index in range(2):
            with one_part(index, of=2):
                tell_progress(0.5)
                tell_progress(1.0)
    tell_progress(0.1)  # nobody listens
    assert heard == [0.25, 0.5, 0.75, 1.0]


def test_an_evaluation_of_episodes_tells_each_collection_by_its_episodes() -> None:
    tasks, heard = Navigation(num_test_tasks=2), []
    learner = maml(tasks.spec, MAMLConfig(hidden=(4,)), generator=torch.Generator().manual_seed(0))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool, heard_by(heard.append):
        arguments = {"rounds": 1, "episodes": 6, "test_episodes": 2, "modes": ["stochastic"], "seed": (0,)}
        adapt_and_test(pool, learner.behaviour(), tasks.meta_test(), **arguments)
    assert heard == [0.2, 0.8, 1.0]


def test_a_few_shot_evaluation_tells_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, heard = build(config()), []
    experiment.evaluation = type(experiment.evaluation)(suites=("5s", "10s"), num_episodes=50)
    with heard_by(heard.append):
        experiment.evaluate(seed=(0,))
    assert heard == [0.25, 0.5, 0.75, 1.0]


def test_plain_lines_come_now_and_then_with_the_time_left() -> None:
    out = io.StringIO()
    with progress_bar("evaluating", stream=out, plain_every_seconds=0.0):
        time.sleep(0.02)
        tell_progress(0.5)
        tell_progress(1.0)  # what follows says that it is done
    assert out.getvalue() == "evaluating: 50%, 0:00 left\n"
    with progress_bar("evaluating", stream=out):  # 10 seconds apart
        tell_progress(0.9)
    assert len(out.getvalue().splitlines()) == 1


def test_a_terminal_has_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    out = Terminal()
    with progress_bar("evaluating [red]", stream=out):
        tell_progress(0.5)
        time.sleep(0.15)
    shown = out.getvalue()
    assert "evaluating [red]" in shown and "50%" in shown and shown.endswith("\x1b[2K")


def test_commands_that_evaluate_show_how_far_they_are(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("metarl.cli.evaluate.progress_bar", lambda text: progress_bar(text, plain_every_seconds=0.0))
    monkeypatch.setattr("metarl.cli.adapt.progress_bar", lambda text: progress_bar(text, plain_every_seconds=0.0))
    monkeypatch.setattr("metarl.cli.play.progress_bar", lambda text: progress_bar(text, plain_every_seconds=0.0))
    run = str(tmp_path / "run")
    assert main(["train", "navigation_maml", "--out", run, *SMALL]) == 0
    said = capsys.readouterr().out
    for policy in ("meta-trained", "untrained"):
        assert re.search(rf"evaluating, {policy}: \d+%, \d:\d\d left\n", said)
    for command in ("evaluate", "adapt", "play"):
        assert main([command, run]) == 0
        assert re.search(r": \d+%, \d:\d\d left\n", capsys.readouterr().out), command
