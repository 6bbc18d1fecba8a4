"""A run of your own experiment file keeps the file, works from anywhere, and runs no other without a word."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.records.compare import read_entries
from metarl.runs.own_experiment import MAX_FILES, digest, read_experiment

EXPERIMENT = '''"""Navigation by a file of your own."""
import metarl.experiments.navigation_maml as base
from HELPER import number
from metarl.envs.navigation import Navigation

def config():
    return base.Config(tasks=Navigation(num_test_tasks=number()))

build = base.build
'''
HELPER = "def number():\n    from PARTS.number import NUMBER\n    return NUMBER\n"
SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2", "--workers", "0"),
]


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """The file, beside two modules of its own, and its run."""
    folder = tmp_path_factory.mktemp("mine")
    write_experiment(folder, "mine_a")
    (folder / "unused.py").write_text("")
    before = sys.path.copy()
    assert main(["train", str(folder / "mine_a.py"), "--out", str(folder / "run"), *SMALL]) == 0
    sys.path[:] = before
    return folder


@pytest.fixture(autouse=True)
def own_path(monkeypatch) -> None:
    """An experiment's folder is on the path of the process that runs it."""
    monkeypatch.setattr(sys, "path", sys.path.copy())


def write_experiment(folder: Path, name: str, number: int = 7) -> Path:
    """Names are unique: a process imports each once."""
    (folder / f"parts_of_{name}").mkdir(parents=True)
    (folder / f"{name}.py").write_text(EXPERIMENT.replace("HELPER", f"helper_of_{name}"))
    (folder / f"helper_of_{name}.py").write_text(HELPER.replace("PARTS", f"parts_of_{name}"))
    (folder / f"parts_of_{name}" / "number.py").write_text(f"NUMBER = {number}\n")
    return folder / f"{name}.py"


@pytest.fixture
def anew(monkeypatch) -> Callable[..., int]:
    """`metarl ...` as in a process of its own: what experiments imported is forgotten."""
    before = [folder for folder in sys.path if not list(Path(folder).glob("mine_*.py"))]

    def run(*arguments: str) -> int:
        for name in [name for name in sys.modules if "mine_" in name]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "path", list(before))
        return main(list(arguments))

    return run


def test_a_run_keeps_the_file_and_the_modules_that_it_imports(mine: Path) -> None:
    kept = {path.relative_to(mine / "run" / "experiment").as_posix(): path for path in (mine / "run").rglob("*.py")}
    assert set(kept) == {"mine_a.py", "helper_of_mine_a.py", "parts_of_mine_a/number.py"}
    assert all(path.read_bytes() == (mine / name).read_bytes() for name, path in kept.items())
    stored = json.loads((mine / "run" / "config.json").read_text())
    assert stored["experiment"] == "mine_a.py" and stored["source"]["path"] == str(mine / "mine_a.py")
    assert stored["source"]["sha256"] == digest({name: path.read_bytes() for name, path in kept.items()})


def test_an_env_that_a_text_names_is_kept_with_the_file(tmp_path: Path) -> None:
    """It is imported by its name: elsewhere it lacked, or another module of that name took its place without a word."""
    for name in ("by_id", "by_factory", "unused"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "own.py").write_text("['by_id:My-v0', 'by_factory:make', 'unused: no name', 'unused']")
    assert set(read_experiment(tmp_path / "own.py").files) == {"own.py", "by_id.py", "by_factory.py"}


def test_a_kept_file_runs_at_the_users_word_alone_and_from_anywhere(
    mine: Path, tmp_path: Path, anew, monkeypatch, capsys
) -> None:
    run = shutil.copytree(mine / "run", tmp_path / "elsewhere" / "run")
    monkeypatch.chdir(tmp_path)
    where = run / "experiment" / "mine_a.py"
    assert anew("evaluate", str(run)) == 2
    error = capsys.readouterr().err
    assert f"would run its code, {where} (SHA-256 " in error and len(error.strip().splitlines()) == 1
    assert "give --trust to run it, or --experiment FILE to run yours" in error and "mine_a" not in sys.modules
    (run / "experiment" / "mine_b.py").write_text("raise SystemExit('another module beside it was run')")
    assert anew("evaluate", str(run), "--trust") == 0
    assert capsys.readouterr().err.startswith(f"running {where} (SHA-256 ")
    assert str(run) not in str(sys.modules["mine_a"].__file__) and str(run) not in " ".join(sys.path)


def test_a_kept_file_that_was_changed_is_not_run(mine: Path, tmp_path: Path, capsys) -> None:
    run = shutil.copytree(mine / "run", tmp_path / "run")
    (run / "experiment" / "helper_of_mine_a.py").write_text("raise SystemExit('run')")
    assert main(["evaluate", str(run), "--trust"]) == 2
    error = capsys.readouterr().err
    assert f"{run / 'experiment'} was changed" in error and len(set(re.findall(r"[0-9a-f]{16}\.\.\.", error))) == 2


def test_an_edited_file_is_not_used_without_a_word(mine: Path, tmp_path: Path, capsys) -> None:
    other = write_experiment(tmp_path, "mine_b")
    assert main(["evaluate", str(mine / "run"), "--experiment", str(other)]) == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"running {other} (SHA-256 ") and len(set(re.findall(r"[0-9a-f]{16}\.\.\.", line))) == 2
    assert main(["evaluate", str(mine / "run"), "--experiment", str(mine / "mine_a.py")]) == 0
    assert capsys.readouterr().err == ""  # the very file


def test_another_file_than_the_runs_is_named_as_such(mine: Path, tmp_path: Path, capsys) -> None:
    run, other = mine / "run", tmp_path / "mine_other.py"
    other.write_text("from metarl.experiments.digits_prototypical import build, config\n")
    for given in (tmp_path / "nowhere.py", tmp_path):
        assert main(["evaluate", str(run), "--experiment", str(given)]) == 2
        assert (
            f"{given} is no .py file; give the one that {run} was trained with, 'mine_a.py'" in capsys.readouterr().err
        )
    assert main(["evaluate", str(run), "--experiment", str(other)]) == 2
    said = capsys.readouterr().err
    assert f"--experiment {other} does not go with {run} (" in said
    assert "give the file that it was trained with, 'mine_a.py', or --trust to run the copy" in said


def test_resuming_takes_the_same_file_only(tmp_path: Path, anew, capsys) -> None:
    file, run = write_experiment(tmp_path, "mine_c"), tmp_path / "run"
    more = ["--out", str(run), *SMALL, "--iterations", "2", "--resume"]
    assert anew("train", str(file), "--out", str(run), *SMALL) == 0
    assert anew("train", str(file), *more) == 0
    (tmp_path / "there").mkdir()
    moved = [Path(shutil.move(path, tmp_path / "there")) for path in (file, *tmp_path.glob("*_of_mine_c*"))]
    assert anew("train", str(moved[0]), *more) == 0
    moved[0].write_text(moved[0].read_text() + "\n")
    before = (run / "config.json").read_bytes()
    capsys.readouterr()
    assert anew("train", str(moved[0]), *more) == 2
    assert len(set(re.findall(r"[0-9a-f]{64}", capsys.readouterr().err))) == 2
    assert (run / "config.json").read_bytes() == before


def test_a_start_that_was_killed_is_made_whole(tmp_path: Path, anew) -> None:
    file, kept = write_experiment(tmp_path, "mine_d"), tmp_path / "run" / "experiment"
    kept.mkdir(parents=True)
    (kept / "mine_d.py").write_text("half of")
    assert anew("train", str(file), "--out", str(tmp_path / "run"), *SMALL) == 0
    assert (kept / "mine_d.py").read_text() == file.read_text()
    shutil.rmtree(kept)
    assert anew("train", str(file), "--out", str(tmp_path / "run"), *SMALL, "--resume") == 0
    assert anew("evaluate", str(tmp_path / "run"), "--trust") == 0


def test_two_experiments_are_no_seeds_of_one(mine: Path, tmp_path: Path, capsys) -> None:
    runs = [shutil.copytree(mine / "run", tmp_path / name) for name in "ab"]
    stored = json.loads((runs[1] / "config.json").read_text())
    stored["config"]["trainer"]["seed"] = 1
    evaluation = json.loads((runs[1] / "evaluation.json").read_text())
    evaluation["config"]["trainer"]["seed"] = 1
    (runs[1] / "evaluation.json").write_text(json.dumps(evaluation))
    (runs[1] / "config.json").write_text(json.dumps(stored))
    assert [len(entry.paths) for entry in read_entries(runs)] == [2]
    stored["source"]["sha256"] = "0" * 64
    (runs[1] / "config.json").write_text(json.dumps(stored))
    assert [len(entry.paths) for entry in read_entries(runs)] == [1, 1]
    assert main(["results", str(runs[0]), "--into", str(tmp_path / "records")]) == 0
    assert main(["results", str(runs[1]), "--into", str(tmp_path / "records")]) == 2
    assert "experiment's SHA-256 was" in capsys.readouterr().err


def test_a_run_without_a_copy_needs_the_file(mine: Path, tmp_path: Path, capsys) -> None:
    run = shutil.copytree(mine / "run", tmp_path / "run")
    stored = json.loads((run / "config.json").read_text())
    del stored["source"]
    (run / "config.json").write_text(json.dumps({**stored, "experiment": str(mine / "mine_a.py")}))
    assert main(["evaluate", str(run), "--trust"]) == 2
    assert "keeps no copy of it; give --experiment FILE" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--experiment", str(mine / "mine_a.py")]) == 0


def test_a_file_beside_a_crowd_is_refused(tmp_path: Path) -> None:
    (tmp_path / "crowd").mkdir()
    for number in range(MAX_FILES):
        (tmp_path / "crowd" / f"m{number}.py").touch()
    (tmp_path / "own.py").write_text("import crowd, metarl, numpy")
    with pytest.raises(UserError, match="move it into a folder of its own"):
        read_experiment(tmp_path / "own.py")


@pytest.mark.parametrize(
    "change",
    [
        {"files": ["mine_a.py", "../../outside.py"]},
        {"files": ["mine_a.py", "/etc/passwd"]},
        {"files": ["../../outside.py"]},
        {"files": []},
        {"files": ["mine_a.py"], "sha256": "\x1b[2J"},
        {"path": 3},
        {"more": "x"},
    ],
)
def test_a_stranger_names_no_other_file(mine: Path, tmp_path: Path, change: dict, capsys) -> None:
    run = shutil.copytree(mine / "run", tmp_path / "run")
    (tmp_path / "outside.py").write_text("raise SystemExit('run')")
    stored = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**stored, "source": stored["source"] | change}))
    assert main(["evaluate", str(run), "--trust"]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1 and "\x1b" not in error


def test_a_kept_file_that_is_a_link_is_not_read(mine: Path, tmp_path: Path, capsys) -> None:
    run = shutil.copytree(mine / "run", tmp_path / "run")
    kept = run / "experiment" / "mine_a.py"
    kept.unlink()
    kept.symlink_to(mine / "mine_a.py")  # the very same contents
    assert main(["evaluate", str(run), "--trust"]) == 2
    assert "is a link, and none is followed" in capsys.readouterr().err
