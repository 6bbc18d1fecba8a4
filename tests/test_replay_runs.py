"""Runs of an agent with a replay: resumed to the bit, and refused where the replay's files are not whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.runs.checkpoint import load_latest
from tests.fewshot.problems import snapshot

SMALL = [
    *("--warmup-steps", "0", "--batch-size", "16", "--replay-ratio", "0.5", "--test-episodes", "1", "--workers", "0"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--checkpoint-every-iterations", "1", "--keep-checkpoints", "2"),
]


def train(out: Path, iterations: int, *more: str) -> int:
    return main(["train", "pendulum_sac", "--out", str(out), "--iterations", str(iterations), *SMALL, *more])


def learner_of(out: Path) -> dict:
    found = load_latest(out / "checkpoints")
    assert found is not None
    return snapshot(found[0]["learner"])


@pytest.mark.parametrize("capacity", [pytest.param("1000", marks=pytest.mark.thorough), "450"])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, capacity):
    """Also where the ring has wrapped, files of what it has overwritten are gone, and it goes on on the disk."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ("--replay-capacity", capacity)
    assert train(whole, 6, *more) == 0
    assert train(parts, 3, *more) == 0
    assert train(parts, 6, *more, "--resume", "--replay-on", "disk") == 0
    assert learner_of(parts) == learner_of(whole)
    files = sorted(path.name for path in (parts / "replay").iterdir())
    assert files == sorted(path.name for path in (whole / "replay").iterdir())
    assert len(files) == (6 if capacity == "1000" else 4)  # 201 rows a batch: three for the older checkpoint, and one


PEARL = [
    *("--warmup-steps", "0", "--tasks-per-step", "4", "--rows-per-task", "8", "--replay-ratio", "0.5"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--encoder-hidden", "8", "--checkpoint-every-iterations", "1"),
    *("--keep-checkpoints", "2", "--meta-batch-size", "2", "--test-episodes", "1", "--max-tasks", "2"),
]


@pytest.mark.parametrize("capacity", [pytest.param("5000", marks=pytest.mark.thorough), "1800"])
def test_a_resumed_run_of_an_agent_with_support_sets_is_the_same_to_the_bit(tmp_path, capacity):
    """Its context comes back from the files as well: two tasks of two support and two query episodes are 808 rows."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def run(out, iterations, *more):
        words = ["train", "navigation_pearl", "--out", str(out), "--iterations", str(iterations), *PEARL]
        return main([*words, "--replay-capacity", capacity, *more])

    assert run(whole, 5) == run(parts, 3) == run(parts, 5, "--resume") == 0
    assert learner_of(parts) == learner_of(whole)
    assert (
        len([*(parts / "replay").iterdir()]) == len([*(whole / "replay").iterdir()]) == (5 if capacity == "5000" else 4)
    )


def test_a_run_without_its_replay_is_refused_and_can_still_be_evaluated(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, 3) == 0
    (run / "replay" / "batch_000001.safetensors").unlink()
    assert train(run, 4, "--resume") == 2
    assert "batch_000001.safetensors is missing; restore it" in capsys.readouterr().err
    shutil.rmtree(run / "replay")
    assert train(run, 4, "--resume") == 2
    assert "had 603 rows when the checkpoint was saved, and its files hold 0" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--workers", "0"]) == 0


def test_a_replay_that_is_a_link_is_not_followed(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, 2) == 0
    (run / "replay").rename(tmp_path / "elsewhere")
    (run / "replay").symlink_to(tmp_path / "elsewhere")
    assert train(run, 3, "--resume") == 2
    assert "a link, and none is followed" in capsys.readouterr().err
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2
