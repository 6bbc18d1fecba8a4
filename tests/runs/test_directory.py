"""A run directory is made whole or not at all, and never mixes two runs."""

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from metarl.errors import UserError
from metarl.runs import directory as run_directory
from metarl.runs import versions
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.directory import RunDirectory, StoredRun, environment, read_run_config

CONFIG = {"iterations": 5, "agent": {"inner_lr": 0.1, "hidden": (64, 64)}}


def create(path, *, resume=False, config=CONFIG, experiment="ml1", may_differ=()):
    return RunDirectory.create(path, resume=resume, experiment=experiment, config=config, may_differ=may_differ)


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def test_create_writes_config_and_versions(tmp_path):
    path = tmp_path / "runs with spaces" / "größe 1"
    with create(path) as run:
        assert (path / "run.lock").read_text() == str(os.getpid())
        assert run.metrics_path.parent == run.checkpoints_path.parent == path
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "versions.json"]
    assert read_run_config(path) == StoredRun("ml1", {"iterations": 5, "agent": {"inner_lr": 0.1, "hidden": [64, 64]}})
    stored = json.loads((path / "versions.json").read_text())
    (start,) = stored
    assert start["python"] == platform.python_version()
    assert {"started", "mujoco", "metaworld", "torch", "platform", "cpu_count", "git_commit", "git_dirty"} <= set(start)


def test_relative_path_survives_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with create(Path("run")) as run:
        monkeypatch.chdir("/")
        assert run.path == tmp_path / "run"


@pytest.mark.parametrize("leftover", ["config.json", "metrics.jsonl", "checkpoints"])
def test_a_directory_with_a_run_is_refused_and_left_as_it_was(tmp_path, leftover):
    (tmp_path / leftover).mkdir()
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match="already holds a run; give --resume to go on, or choose another --out"):
        create(tmp_path)
    assert snapshot(tmp_path) == before


def test_other_files_in_the_directory_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    create(tmp_path).lock.release()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_resume(tmp_path):
    create(tmp_path).lock.release()
    with create(tmp_path, resume=True, config={**CONFIG, "iterations": 9}, may_differ={"iterations"}):
        assert read_run_config(tmp_path).config["iterations"] == 9


def test_resume_lists_every_field_that_differs(tmp_path):
    create(tmp_path).lock.release()
    before = snapshot(tmp_path)
    config = {"iterations": 9, "agent": {"inner_lr": 0.2, "momentum": 1}}
    with pytest.raises(UserError) as raised:
        create(tmp_path, resume=True, config=config, experiment="ml10", may_differ={"iterations"})
    message = str(raised.value)
    assert "experiment was 'ml1', now 'ml10'" in message
    assert "agent.inner_lr was 0.1, now 0.2" in message
    assert "agent.hidden was [64, 64], now 'absent'" in message
    assert "agent.momentum was 'absent', now 1" in message
    assert "iterations" not in message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("allowed", ["rl.evaluation.rounds", "rl.evaluation", "rl"])
def test_nested_fields_may_differ_by_path_or_group(tmp_path, allowed):
    configs = [{"rl": {"evaluation": {"rounds": rounds}}} for rounds in (1, 2)]
    create(tmp_path, config=configs[0]).lock.release()
    create(tmp_path, resume=True, config=configs[1], may_differ={allowed}).lock.release()
    with pytest.raises(UserError, match=r"rl\.evaluation\.rounds was 2, now 1"):
        create(
            tmp_path,
            resume=True,
            config=configs[0],
            may_differ={"rounds", "evaluation", "evaluation.rounds", "rl.eval"},
        )


def test_versions_are_kept_for_each_start(tmp_path, monkeypatch):
    create(tmp_path).lock.release()
    monkeypatch.setattr(run_directory, "environment", lambda: {"torch": "other"})
    create(tmp_path, resume=True).lock.release()
    first, second = json.loads((tmp_path / "versions.json").read_text())
    assert first["torch"] != "other" and second["torch"] == "other" and first["started"] <= second["started"]
    (tmp_path / "versions.json").write_text('{"torch": "2.0"}')  # of a run from before there was a list
    create(tmp_path, resume=True).lock.release()
    assert [start["torch"] for start in json.loads((tmp_path / "versions.json").read_text())] == ["2.0", "other"]
    (tmp_path / "versions.json").write_text("[1")
    with pytest.raises(UserError, match=r"versions\.json is damaged"):
        create(tmp_path, resume=True)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(UserError, match="holds no run to resume"):
        create(tmp_path / "a" / "b", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_in_use(tmp_path):
    with create(tmp_path):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"):
            create(tmp_path, resume=True)
        assert (tmp_path / "run.lock").exists()


@pytest.mark.parametrize("failing", ["replace_file", "environment"])
def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch, failing):
    calls = iter([False, True])

    def fail_at_the_end(*arguments):
        if failing == "environment" or next(calls):
            raise OSError(28, "No space left on device")
        Path(arguments[0]).write_bytes(arguments[1])

    monkeypatch.setattr(run_directory, failing, fail_at_the_end)
    existing = tmp_path / "existing"
    existing.mkdir()
    for path in (tmp_path / "a" / "b", existing):
        calls = iter([False, True])
        with pytest.raises((UserError, OSError), match="No space left"):
            create(path)
    assert list(tmp_path.rglob("*")) == [existing]


@pytest.mark.parametrize("iteration", [0, 1])
def test_a_new_run_that_fails_before_it_learnt_is_as_if_it_had_not_been(tmp_path, iteration):
    place, mine = tmp_path / "a" / "run", tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").touch()
    for path in (place, mine):
        with pytest.raises(UserError, match="no such goal"), create(path) as run:
            run.metrics_path.touch()
            save_checkpoint(run.checkpoints_path, iteration, {"iteration": iteration})
            raise UserError("no such goal")
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.parent in (tmp_path, mine))
    if iteration == 0:
        assert left == ["mine", "mine/notes.txt"]
    else:
        assert (place / "config.json").is_file() and "mine/checkpoints" in left


def test_a_resumed_run_that_fails_stays(tmp_path):
    create(tmp_path).lock.release()
    with pytest.raises(UserError), create(tmp_path, resume=True):
        raise UserError("no such goal")
    assert (tmp_path / "config.json").is_file()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=r"cannot write to .*: .*; choose another --out"):
            create(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_directory(tmp_path):
    tmp_path.chmod(0o500)
    for path in (tmp_path, tmp_path / "run"):
        with pytest.raises(UserError, match=r"cannot write to .*: Permission denied; choose another --out"):
            create(path)


def test_a_name_that_no_file_system_takes(tmp_path):
    with pytest.raises(UserError, match=r"cannot write to .*: File name too long; choose another --out"):
        create(tmp_path / ("y" * 300))


def test_a_place_where_nobody_can_write():
    with pytest.raises(UserError, match="cannot write to /proc/metarl/run"):
        create(Path("/proc/metarl/run"))


@pytest.mark.parametrize("content", ["", "[]", '{"experiment": "x"}', '{"config": 3}', "\x00", "[" * 100_000])
def test_damaged_config(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json is damaged"):
        read_run_config(tmp_path)


def test_no_config(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        read_run_config(tmp_path)


def test_git_state_of_a_checkout(tmp_path, monkeypatch):
    assert versions._git_state(tmp_path) == {"git_commit": None, "git_dirty": None}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    state = versions._git_state(tmp_path)
    assert len(state["git_commit"]) == 40 and state["git_dirty"] is False
    (tmp_path / "new.py").write_text("")
    assert versions._git_state(tmp_path)["git_dirty"] is True


def test_environment_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment()["git_commit"] is None


def test_what_is_no_directory_is_no_run_and_a_name_has_the_nearest(tmp_path):
    with create(tmp_path / "navigation_seed0"):
        pass
    with pytest.raises(UserError, match=r"there is no .*navigation_sed0 \(did you mean 'navigation_seed0'\?\)"):
        read_run_config(tmp_path / "navigation_sed0")
    with pytest.raises(UserError, match=r"config\.json is no directory, and so no run"):
        read_run_config(tmp_path / "navigation_seed0" / "config.json")
    with pytest.raises(UserError, match=r"there is no .*nowhere/run; give"):
        read_run_config(tmp_path / "nowhere" / "run")
