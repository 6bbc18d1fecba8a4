"""The command line as a person meets it: whole runs, resuming, and one-line answers to bad input."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from metarl import files
from metarl.cli.main import COMMANDS, main
from metarl.errors import UserError
from metarl.learn.meta_optimizer import Adam
from metarl.records import places
from metarl.runs.checkpoint import list_checkpoints, load_latest
from metarl.runs.log import EVALUATED_AT, MetricsLog, read_metrics

SMALL = [
    *("--iterations", "4", "--meta-batch-size", "3", "--support-episodes", "3", "--query-episodes", "3"),
    *("--num-test-tasks", "2", "--test-episodes", "2", "--adaptation-episodes", "2", "--hidden", "16"),
    *("--device", "cpu"),
]
UNTIMED = ("seconds", "seconds/collect", "seconds/update", "seconds/evaluate", "seconds/workers")


def train(out: Path, *more: str, experiment: str = "navigation_maml") -> int:
    solver = ["--cg-iterations", "3"] if experiment == "navigation_maml" else []
    return main(["train", experiment, "--out", str(out), *SMALL, *solver, *more])


def learned(run: Path) -> tuple[dict, list[dict]]:
    """The newest checkpoint's learner, and the metrics rows without their clock times."""
    found = load_latest(run / "checkpoints")
    assert found is not None
    rows = [{k: v for k, v in row.items() if k not in UNTIMED} for row in read_metrics(run / "metrics.jsonl")]
    return found[0]["learner"], rows


def assert_same_run(run: Path, reference: Path) -> None:
    learner, rows = learned(run)
    expected, expected_rows = learned(reference)
    assert {k: v.tolist() for k, v in learner["theta"].items()} == {k: v.tolist() for k, v in expected["theta"].items()}
    assert rows == expected_rows


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four iterations that nothing interrupted."""
    out = tmp_path_factory.mktemp("reference") / "run"
    assert train(out) == 0
    return out


def test_a_run_leaves_what_the_readme_names(reference: Path) -> None:
    left = {path.name for path in reference.iterdir()}
    assert left >= {"config.json", "versions.json", "metrics.jsonl", "checkpoints", "evaluation.json"}
    assert (reference / "adaptation.png").read_bytes().startswith(b"\x89PNG")
    assert "run.lock" not in left
    rows = read_metrics(reference / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == [0, 1, 2, 3]
    assert rows[-1]["env_steps"] > rows[0]["env_steps"] > 0


def test_evaluation_json_holds_a_fixed_quota_for_each_task(reference: Path) -> None:
    content = json.loads((reference / "evaluation.json").read_text())
    assert set(content["policies"]) == {"meta-trained", "untrained"}
    scores = content["policies"]["meta-trained"]["suites"][""]
    # two kinds of action, 3 adaptation rounds and the prior, 2 tasks, 2 test episodes each
    returns = scores["values"]["return"]
    assert scores["conditions"] == ["stochastic", "deterministic"]
    assert [len(returns), len(returns[0]), len(returns[0][0]), len(returns[0][0][0])] == [2, 4, 2, 2]
    assert content["environment"]["mujoco"] == "3.3.0"


def test_two_iterations_then_resume_equal_four_at_once(reference: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "run", "--iterations", "2") == 0
    assert train(tmp_path / "run", "--iterations", "4", "--resume") == 0
    assert_same_run(tmp_path / "run", reference)


def test_a_run_from_before_a_setting_came_into_being_can_be_resumed(reference: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(run, "--iterations", "2") == 0
    stored = json.loads((run / "config.json").read_text())
    del stored["config"]["agent"]["judge_every_step"]
    (run / "config.json").write_text(json.dumps(stored))
    assert train(run, "--resume") == 0
    assert_same_run(run, reference)


def test_the_number_of_workers_does_not_show(reference: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "run", "--workers", "2") == 0
    assert_same_run(tmp_path / "run", reference)


def test_the_number_of_cores_does_not_show_unless_threads_are_asked_for(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert train(tmp_path / "run", "--iterations", "2") == 0
        assert train(tmp_path / "run", "--resume", "--threads", "2") == 2
        assert "trainer.threads" in capsys.readouterr().err
        assert train(tmp_path / "run", "--resume") == 0
    finally:
        torch.set_num_threads(before)
    assert_same_run(tmp_path / "run", reference)


def test_scores_in_training_know_the_env_steps_behind_them(tmp_path: Path) -> None:
    assert train(tmp_path / "run", "--iterations", "2", "--eval-every-iterations", "1") == 0
    first, second = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert first[EVALUATED_AT] == 0 and second[EVALUATED_AT] == first["env_steps"] > 0


def test_another_seed_gives_another_run(reference: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "run", "--iterations", "1", "--seed", "7") == 0
    assert learned(tmp_path / "run")[1][0] != learned(reference)[1][0]


def start(out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "metarl", "train", "navigation_maml", "--out", str(out), *SMALL, *more]
    command += ["--cg-iterations", "3"]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_checkpoints(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(list_checkpoints(out / "checkpoints")) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "delay_seconds", [0.07, *(pytest.param(delay, marks=pytest.mark.thorough) for delay in (0.0, 0.19))]
)
def test_sigkill_then_resume_equals_the_uninterrupted_run(
    reference: Path, tmp_path: Path, delay_seconds: float
) -> None:
    out = tmp_path / "run"
    process = start(out)
    wait_for_checkpoints(out, 1, process)
    time.sleep(delay_seconds)
    process.kill()
    process.communicate()
    assert train(out, "--resume") == 0
    assert_same_run(out, reference)


def test_an_error_behind_an_update_does_not_have_it_done_twice(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MetricsLog.write

    def full_at_two(log: MetricsLog, iteration: int, **row: Any) -> None:
        if iteration == 2:
            raise UserError("the disk is full")
        write(log, iteration, **row)

    monkeypatch.setattr(MetricsLog, "write", full_at_two)
    assert train(tmp_path / "run", "--checkpoint-every-iterations", "9") == 2
    monkeypatch.undo()
    assert train(tmp_path / "run", "--resume") == 0
    learner, rows = learned(tmp_path / "run")
    expected, expected_rows = learned(reference)
    assert all(torch.equal(learner["theta"][name], p) for name, p in expected["theta"].items())
    assert rows == [row for row in expected_rows if row["iteration"] != 2]


def test_an_update_that_broke_off_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's moments would be those of half an update, and theta that of the one before."""
    ppo = {"experiment": "navigation_multi_task_ppo"}
    assert train(tmp_path / "reference", **ppo) == 0
    step, calls = Adam.step, []

    def breaks_off(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == per_update * 5 // 2:  # in the middle of the third
            raise MemoryError
        return step(*arguments, **more)

    config = json.loads((tmp_path / "reference" / "config.json").read_text())["config"]["agent"]
    per_update = config["epochs"] * config["minibatches"]
    monkeypatch.setattr(Adam, "step", breaks_off)
    with pytest.raises(MemoryError):
        train(tmp_path / "run", "--checkpoint-every-iterations", "2", **ppo)
    monkeypatch.undo()
    assert train(tmp_path / "run", "--resume", **ppo) == 0
    assert_same_run(tmp_path / "run", tmp_path / "reference")
    learner, _ = learned(tmp_path / "run")
    expected, _ = learned(tmp_path / "reference")
    for name, moment in expected["meta_optimizer"]["first"].items():
        assert torch.equal(learner["meta_optimizer"]["first"][name], moment)


@pytest.mark.thorough
def test_a_reader_that_has_read_enough_does_not_end_the_run(tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "run" / "evaluation.json").is_file()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.thorough), signal.SIGTERM])
def test_a_signal_saves_and_exits_with_130(reference: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    process = start(out, "--iterations", "400", "--workers", "2")
    wait_for_checkpoints(out, 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors and "--resume" in errors
    _, alive = psutil.wait_procs(children, timeout=5)
    assert children and not alive
    state, _ = load_latest(out / "checkpoints")  # type: ignore[misc]
    assert state["iteration"] == len(read_metrics(out / "metrics.jsonl"))
    if state["iteration"] < 4:
        assert train(out, "--iterations", "4", "--resume") == 0
        assert_same_run(out, reference)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "navigation_mamll"], "unknown experiment 'navigation_mamll' (did you mean 'navigation_maml'?)"),
        (["trian"], "unknown command 'trian' (did you mean 'train'?)"),
        (["train", "navigation:mamll"], "unknown experiment 'navigation:mamll' (did you mean 'navigation_maml'?)"),
        (["train", "navigation"], "'navigation' is a file of several experiments; give one of navigation:anil"),
        (["train", "navigation_maml", "--inner-rl", "1"], "unknown field 'inner_rl' (did you mean 'inner_lr'?)"),
        (["train", "navigation_maml", "--inner-lr", "fast"], "agent.inner_lr='fast' must be float"),
        (["train", "navigation_maml", "--inner-lr", "-1"], "inner_lr=-1.0 must be > 0"),
        (["train", "navigation_maml", "--workers", "-1"], "workers=-1 must be >= 0"),
        (["train", "navigation_maml", "--gamma", "nan"], "gamma"),
        (["train", "ml1_reach_maml", "--env-name", "reech-v3"], "did you mean 'reach-v3'?"),
        (["train", "no_such_file.py"], "no experiment file"),
        (["evaluate", "no_such_run"], "there is no no_such_run"),
        (["train", "navigation_maml", "--seed"], "must be int ('true' stands for a flag without a value)"),
        (["train", "navigation_maml", "--hidden", "8", "8"], "unexpected argument '8'"),
        (["train", "navigation_maml", "--out", ""], "--out '' names no place; give a path"),
        (["sweep", "navigation_maml", "--out="], "--out '' names no place"),
        (["list", "everything"], "takes no arguments"),
        (["train", "digits_prototypical", "--overlap", "--out", "a/b"], "overlap=True is for data that agents collect"),
        (["results", "no_run", "--into", "a/b"], "there is no no_run"),
        (["results", "--show", "x", "--into", "a/b"], "has no record 'x'"),
        (["fewshot", "table", "--into", "a/b"], "holds no few-shot run"),
        (["zoo", "get", "nobody", "--out", "a/b"], "the zoo has no 'nobody'"),
        (["bench", "rolout"], "did you mean 'rollout'?"),
        (["results", "--into", "x" * 300], "File name too long; give a shorter name"),
        (["zoo", "get", "navigation_maml", "--out", "x" * 300], "File name too long; give a shorter name"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_a_place_that_is_not_ones_own_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Of a test that runs as root, which may write anywhere, the system's refusal is made up."""

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "records"))

    monkeypatch.setattr(files, "write_synced", refused)
    assert main(["results", "--into", str(tmp_path / "records")]) == 2
    assert "Permission denied; look at whose it is" in capsys.readouterr().err.splitlines()[0]


def test_an_experiment_behind_a_link_to_itself_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine.py").symlink_to("mine.py")
    assert main(["train", str(tmp_path / "mine.py")]) == 2
    assert "no experiment file" in capsys.readouterr().err


def test_an_installed_metarl_keeps_no_records_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would lie among its modules, and go with its next version."""
    monkeypatch.setattr(places, "experiments_directory", lambda: tmp_path / "metarl" / "experiments")
    with pytest.raises(UserError, match="belongs to the installed metarl; give --into DIRECTORY"):
        places.records(None)
    assert places.records(tmp_path).page is None


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture) -> None:
    for word in ("-h", "--help"):
        try:
            assert main([command, word]) == 0
        except SystemExit as stopped:  # tyro's
            assert stopped.code == 0
        assert f"usage: metarl {command}" in capsys.readouterr().out


def test_a_directory_with_a_run_is_not_overwritten(reference: Path, capsys: pytest.CaptureFixture) -> None:
    before = (reference / "metrics.jsonl").read_bytes()
    assert train(reference) == 2
    assert "--resume" in capsys.readouterr().err
    assert (reference / "metrics.jsonl").read_bytes() == before


def test_a_checkpoint_of_another_shape_lists_the_tensors(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["evaluate", str(reference), "--hidden", "8"]) == 2
    assert re.search(r"w0 is .*16.*expected.*8", capsys.readouterr().err)


def test_evaluate_gives_the_numbers_of_the_run(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", str(reference), "--json", str(tmp_path / "again.json")]) == 0
    again = json.loads((tmp_path / "again.json").read_text())["policies"]
    assert again == json.loads((reference / "evaluation.json").read_text())["policies"]
    assert "meta-trained" in capsys.readouterr().out


def test_list_names_every_experiment_and_help_every_setting(capsys: pytest.CaptureFixture) -> None:
    assert main(["list"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "pendulum_maml" in listed and "navigation:VARIANT" in listed
    assert "navigation_rl2" not in listed  # a family once
    assert main(["list", "--verbose"]) == 0
    assert "anil, e_maml, fine_tune" in " ".join(capsys.readouterr().out.split())
    for name in ("navigation:maml", "navigation_maml"):
        assert main(["train", name, "--help"]) == 0
        assert "inner_lr" in capsys.readouterr().out


OWN_EXPERIMENT = '''
from dataclasses import dataclass
import metarl.experiments.navigation_maml as base
from metarl.envs.navigation import Navigation

@dataclass(frozen=True, kw_only=True)
class FarNavigation(Navigation):
    """Defined here, so that workers must find this file to unpickle it."""

def config():
    return base.Config(tasks=FarNavigation(name="far"))

build = base.build
'''


@pytest.mark.thorough
def test_a_file_of_ones_own_runs_in_workers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())  # the file's folder is put on it
    path = tmp_path / "my own" / "far_navigation_experiment.py"
    path.parent.mkdir()
    path.write_text(OWN_EXPERIMENT)
    assert train(tmp_path / "run ü", "--iterations", "1", "--workers", "1", experiment=str(path)) == 0
    stored = json.loads((tmp_path / "run ü" / "config.json").read_text())
    assert stored["config"]["tasks"]["name"] == "far"
