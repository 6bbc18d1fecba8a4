"""A signal in the last update or in the report is not swallowed, and one that nohup ignores stays ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metarl import trainer
from metarl.cli import train as train_command
from metarl.cli.main import main
from metarl.learn.gradient_learner import GradientLearner

SMALL = [
    *("--iterations", "2", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2", "--workers", "0"),
]


def arguments(run: Path) -> list[str]:
    return ["train", "navigation_maml", "--out", str(run), *SMALL]


def test_a_signal_in_the_last_update_stops_before_the_evaluation(tmp_path: Path, monkeypatch, capfd) -> None:
    advance = train_command.Console.advance

    def interrupted(console, *args, **more):
        advance(console, *args, **more)
        if (counted := seen.append(1) or len(seen)) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return counted

    seen: list[int] = []
    monkeypatch.setattr(train_command.Console, "advance", interrupted)
    assert main(arguments(tmp_path / "run")) == 130
    said = capfd.readouterr().err
    assert "SIGTERM: stopping once this step is whole" in said and "stopped after 2 of 2 iterations, all saved" in said
    assert not (tmp_path / "run" / "evaluation.json").exists()
    monkeypatch.undo()
    assert main([*arguments(tmp_path / "run"), "--resume"]) == 0
    assert (tmp_path / "run" / "evaluation.json").exists()


def test_a_signal_in_an_update_is_told_how_long_that_takes(tmp_path: Path, monkeypatch, capfd) -> None:
    update, now = GradientLearner.meta_update, [0.0]

    def interrupted(*args, **more):
        now[0] += 30.0 if now[0] == 0 else 10.0
        if now[0] > 30.0:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(*args, **more)

    monkeypatch.setattr(GradientLearner, "meta_update", interrupted)
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: now[0])
    assert main(arguments(tmp_path / "run")) == 130
    assert "SIGTERM: stopping once iteration 2 of 2 is whole, in about 0:20" in capfd.readouterr().err


def test_a_signal_in_the_report_leaves_it_whole(tmp_path: Path, monkeypatch, capfd) -> None:
    plot = train_command.plot_training

    def interrupted(*args, **more):
        os.kill(os.getpid(), signal.SIGHUP)
        return plot(*args, **more)

    monkeypatch.setattr(train_command, "plot_training", interrupted)
    assert main(arguments(tmp_path / "run")) == 130
    assert (tmp_path / "run" / "evaluation.json").exists() and (tmp_path / "run" / "training.png").exists()
    assert "SIGHUP: stopping once this step is whole" in capfd.readouterr().err


def test_a_signal_in_the_page_of_the_report_is_not_swallowed(tmp_path: Path, monkeypatch, capfd) -> None:
    report = train_command.report_at_the_end

    def interrupted(*args, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        return report(*args, **more)

    monkeypatch.setattr(train_command, "report_at_the_end", interrupted)
    assert main(arguments(tmp_path / "run")) == 130
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert "SIGTERM: stopping once this step is whole" in capfd.readouterr().err


def test_a_signal_while_it_waits_is_told_at_once(tmp_path: Path, monkeypatch, capfd) -> None:
    evaluate = train_command.evaluate_both

    def interrupted(*args, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args, **more)

    monkeypatch.setattr(train_command, "evaluate_both", interrupted)
    assert main(arguments(tmp_path / "run")) == 130
    first, second, *_ = [line for line in capfd.readouterr().err.splitlines() if "stop" in line]
    assert first == "SIGTERM: stopping now; once more ends at once"
    assert second.startswith("stopped after 2 of 2 iterations, all saved")


def test_the_end_of_a_run_says_what_to_do_next(tmp_path: Path, capsys) -> None:
    run = tmp_path / "a run"
    assert main(arguments(run)) == 0
    told = capsys.readouterr().out
    assert f"next:\n  metarl play '{run}'\n" in told and f"  metarl adapt '{run}' --task 0\n" in told


@pytest.mark.parametrize("ignored", [True, False])
def test_what_nohup_ignores_stays_ignored(ignored: bool) -> None:
    code = (
        "import os, signal\n"
        f"{'signal.signal(signal.SIGHUP, signal.SIG_IGN)' if ignored else ''}\n"
        "from metarl.runs.stop import StopSignal\n"
        "with StopSignal() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print(stop.requested)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(not ignored)
