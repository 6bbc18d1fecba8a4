"""What a stored config says is taken only where the experiment or the user says so too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarl.cli.main import main
from metarl.config import NAMES_CODE, fields_named, marked_values
from metarl.experiments import pendulum_maml

SMALL = ["--iterations", "1", "--meta-batch-size", "2", "--workers", "0"]
OF_RL = ["--support-episodes", "2", "--query-episodes", "2", "--test-episodes", "1", "--adaptation-episodes", "1"]
CANARY = "from pathlib import Path\nPath(__file__).with_name('sung').touch()\ndef sing(**kwargs):\n    pass\n"


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pendulum"
    assert main(["train", "pendulum_maml", "--out", str(out), *SMALL, *OF_RL, "--max-tasks", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> tuple[Path, Path]:
    """A run, and the file that it was trained on."""
    folder = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 12)
    np.savez(folder / "mine.npz", X=rng.normal(y[:, None], 0.1, (144, 4)), y=y)
    command = ["train", "arrays", "--file", str(folder / "mine.npz"), "--out", str(folder / "run")]
    assert main([*command, *SMALL[:4], "--num-episodes", "2"]) == 0
    return folder / "run", folder / "mine.npz"


def changed(run: Path, into: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    shutil.copytree(run, into)
    stored = json.loads((into / "config.json").read_text())
    change(stored["config"])
    (into / "config.json").write_text(json.dumps(stored))
    return into


def error_of(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("command", ["evaluate", "adapt", "play"])
@pytest.mark.parametrize("extra", [[], ["--trust"]])
def test_an_env_of_a_stored_config_is_never_imported(
    command: str, extra: list[str], pendulum: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "canary.py").write_text(CANARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = changed(pendulum, tmp_path / "run", lambda config: config["tasks"].update(env="canary:sing"))
    assert "says tasks.env='canary:sing'" in error_of([command, str(run), *extra], capsys)
    assert not (tmp_path / "sung").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kwargs", {"render_mode": "human"}),
        ("vary", {"g": {"kind": "choice", "low": 0.0, "high": 0.0, "size": None, "values": ["x.xml"]}}),
        ("options", {"path": {"kind": "choice", "low": 0.0, "high": 0.0, "size": None, "values": ["x.xml"]}}),
        ("own_tasks", True),
        ("env", "subprocess:run"),
        ("env", "CartPole-v1"),
    ],
)
def test_nothing_is_called_with_what_a_stored_config_says(name, value, pendulum: Path, tmp_path: Path, capsys) -> None:
    run = changed(pendulum, tmp_path / "run", lambda config: config["tasks"].update({name: value}))
    assert f"says tasks.{name}=" in error_of(["evaluate", str(run)], capsys)


def test_a_run_as_it_was_stored_is_read(pendulum: Path) -> None:
    assert main(["evaluate", str(pendulum), "--test-episodes", "2"]) == 0


def test_files_that_a_run_names_are_read_at_the_users_word_alone(arrays, tmp_path: Path, capsys) -> None:
    run, file = arrays
    said = error_of(["evaluate", str(run)], capsys)
    assert f"says data.file='{file}', which lies outside of it" in said and "give --data.file PATH, or --trust" in said
    moved = shutil.copy(file, tmp_path / "moved.npz")
    assert main(["evaluate", str(run), "--file", str(moved)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--trust"]) == 0
    assert capsys.readouterr().err == f"reading '{file}', which {run} names as data.file\n"


def test_fields_are_marked_where_they_are_defined() -> None:
    config = pendulum_maml.config()
    marked = marked_values(config, NAMES_CODE)
    assert marked["tasks.env"] == "Pendulum-v1" and marked["tasks.vary"]["g"]["low"] == 5
    assert set(marked) == {f"tasks.{name}" for name in ("env", "kwargs", "vary", "model", "options", "own_tasks")}
    assert fields_named(config, [("inner-lr", "1"), ("tasks.test_seed", "1")]) == {"agent.inner_lr", "tasks.test_seed"}


def test_a_file_that_is_named_where_one_stands_is_found_from_elsewhere(
    arrays, tmp_path: Path, monkeypatch, capsys
) -> None:
    _, file = arrays
    monkeypatch.chdir(file.parent)
    run, few = str(tmp_path / "run"), ["--num-episodes", "2"]
    assert main(["train", "arrays", "--file", file.name, "--out", run, *SMALL[:4], *few]) == 0
    monkeypatch.chdir(tmp_path)
    assert f"says data.file='{file}'" in error_of(["evaluate", run], capsys)  # and is not followed at its word
    assert main(["evaluate", run, "--trust"]) == 0
