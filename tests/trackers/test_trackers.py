"""Trackers are told scores at their own step and pictures at the end, and none of them stops a run.

wandb, mlflow and trackio are too heavy for every test run: small modules stand in for them (`stand_in`), with the calls
that ours make. Where the libraries are installed the last test opens them as they are.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tyro
from PIL import Image

from metarl.cli.main import main
from metarl.cli.train import TrainArguments
from metarl.errors import UserError
from metarl.trackers.registry import TRACKERS, find_trackers
from metarl.trackers.tracker import About, tracked

SMALL = [
    *("--iterations", "1", "--meta-batch-size", "1", "--support-episodes", "1", "--query-episodes", "1"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--num-test-tasks", "2", "--workers", "0"),
    *("--agent.hidden", "4", "--cg-iterations", "1", "--device", "cpu"),
]


class Told:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.threads: set[int] = set()

    def scores(self, values, *, step):
        self.threads.add(threading.get_ident())
        self.calls.append((dict(values), step))

    def picture(self, name, path):
        self.calls.append(("picture", name))

    def film(self, name, path):
        self.calls.append(("film", name))

    def close(self):
        self.calls.append("closed")


def about(directory: Path) -> About:
    return About("run", directory, {"agent.lr": 0.1, "trainer.seed": 1})


def test_several_trackers_are_told_the_same_in_order_from_one_thread_each(tmp_path: Path) -> None:
    told = [Told(), Told()]
    with tracked({"a": lambda _: told[0], "b": lambda _: told[1]}, about(tmp_path)) as trackers:
        for step in range(100):
            trackers.scores({"x": 1.0}, step=step)
        trackers.picture("adaptation", tmp_path / "a.png")
        trackers.film("best", tmp_path / "b.gif")
    expected = [*(({"x": 1.0}, step) for step in range(100)), ("picture", "adaptation"), ("film", "best"), "closed"]
    assert told[0].calls == told[1].calls == expected
    assert all(len(one.threads) == 1 and threading.get_ident() not in one.threads for one in told)


@pytest.mark.parametrize("at", ["open", "scores", "picture", "close"])
@pytest.mark.parametrize("error", [OSError("no network"), ImportError("No module named 'x'"), SystemExit(1)])
def test_one_that_fails_is_said_once_and_the_others_go_on(at: str, error, tmp_path: Path, capsys) -> None:
    good, bad = Told(), Told()

    def fails(*arguments, **more):
        raise error

    if at != "open":
        setattr(bad, at, fails)
    with tracked(
        {"bad": fails if at == "open" else lambda _: bad, "good": lambda _: good}, about(tmp_path)
    ) as trackers:
        for step in range(3):
            trackers.scores({"x": 1.0}, step=step)
            trackers.picture("a", tmp_path / "a.png")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bad is told nothing more: ") and line.endswith(
        "the run goes on, and its own files hold all"
    )
    assert len(good.calls) == 7 and good.calls[-1] == "closed"


def test_one_that_hangs_is_left_behind(tmp_path: Path, capsys) -> None:
    held = threading.Event()
    hanging = SimpleNamespace(scores=lambda values, *, step: held.wait(), close=lambda: None)
    started = time.monotonic()
    with tracked({"hanging": lambda _: hanging}, about(tmp_path), wait_seconds=0.1) as trackers:
        trackers.scores({"x": 1.0}, step=0)
    assert time.monotonic() - started < 5.0
    assert "it did not end within 0 s" in capsys.readouterr().err
    held.set()


def test_an_unknown_tracker_is_one_sentence() -> None:
    assert list(find_trackers("wandb, mlflow")) == ["wandb", "mlflow"] and find_trackers("") == {}
    with pytest.raises(UserError, match=r"'wand' \(did you mean 'wandb'\?\) is none of tensorboard, wandb"):
        find_trackers("wand")


def test_a_run_whose_tracker_is_not_installed_ends_well(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["train", "navigation_maml", "--out", str(tmp_path / "run"), "--track", "wandb", *SMALL]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "wandb" in line]
    assert len(told) == 1 and "pip install -U wandb may remedy" in told[0]
    assert main(["train", "navigation_maml", "--out", str(tmp_path / "no"), "--track", "wanb", *SMALL]) == 2
    assert not (tmp_path / "no").exists()


def mlflow_client(calls: list[Any]) -> type:
    class Client:
        def __init__(self, uri):
            calls.append(("mlflow", "uri", uri))

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name, artifacts):
            return "0"

        def create_run(self, experiment, run_name):
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_batch(self, run, metrics=(), params=()):
            calls.append(("mlflow", "batch", [*metrics, *params]))

        def log_artifact(self, run, path):
            calls.append(("mlflow", "artifact", Path(path).name))

        def set_terminated(self, run):
            calls.append(("mlflow", "finish"))

    return Client


def stand_in(monkeypatch) -> list[Any]:
    """Modules for wandb, mlflow and trackio that note what they are asked."""
    calls: list[Any] = []

    def run(name: str) -> SimpleNamespace:
        def log(values, step=None):
            calls.append((name, "log", dict(values), step))

        return SimpleNamespace(
            log=log,
            define_metric=lambda metric, **more: calls.append((name, "define", metric, more)),
            finish=lambda: calls.append((name, "finish")),
        )

    def module(name: str, **members: Any) -> None:
        made = ModuleType(name)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, name, made)

    def init(library: str):
        def init(**more):
            calls.append((library, "init", more))
            return run(library)

        return init

    for library in ("wandb", "trackio"):
        module(
            library,
            init=init(library),
            Settings=lambda **more: more,
            Image=lambda path: f"image {Path(path).name}",
            Video=lambda path, format: f"{format} {Path(path).name}",
        )

    module("mlflow")
    module("mlflow.tracking", MlflowClient=mlflow_client(calls))
    module(
        "mlflow.entities",
        Param=lambda key, value: (key, value),
        Metric=lambda key, value, now, step: (key, value, step),
    )
    return calls


def tell(name: str, directory: Path, *, wait_seconds: float = 60.0) -> None:
    """What a run tells: two rows, a picture and a film."""
    pixels = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    pixels.save(directory / "a.png")
    pixels.save(directory / "b.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    with tracked({name: TRACKERS[name]}, about(directory), wait_seconds=wait_seconds) as trackers:
        trackers.scores({"kl": 0.5}, step=200)
        trackers.scores({"eval/return": 1.0}, step=100)  # of an earlier theta
        trackers.picture("adaptation", directory / "a.png")
        trackers.film("best", directory / "b.gif")


def test_wandb_is_offline_in_the_run_and_scores_have_their_own_step(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    calls = stand_in(monkeypatch)
    tell("wandb", tmp_path)
    assert capsys.readouterr().err == ""
    init = calls[0][2]
    assert init["mode"] == "offline" and init["dir"] == str(tmp_path) and init["config"]["agent.lr"] == 0.1
    assert ("wandb", "define", "*", {"step_metric": "step"}) in calls
    logged = [call[2] for call in calls if call[1] == "log"]
    assert logged == [
        {"kl": 0.5, "step": 200},
        {"eval/return": 1.0, "step": 100},
        {"adaptation": "image a.png"},
        {"best": "gif b.gif"},
    ]
    assert calls[-1] == ("wandb", "finish")


def test_mlflow_lies_in_the_run_unless_its_variable_says_otherwise(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calls = stand_in(monkeypatch)
    tell("mlflow", tmp_path)
    assert capsys.readouterr().err == ""
    assert calls[0][2] == f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    assert [call[2] for call in calls if call[1] == "batch"] == [
        [("agent.lr", "0.1"), ("trainer.seed", "1")],
        [("kl", 0.5, 200)],
        [("eval/return", 1.0, 100)],
    ]
    assert [call[2] for call in calls if call[1] == "artifact"] == ["a.png", "b.gif"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    tell("mlflow", tmp_path)
    assert ("mlflow", "uri", "http://localhost:5000") in calls


def test_trackio_is_told_at_each_step(tmp_path: Path, monkeypatch, capsys) -> None:
    calls = stand_in(monkeypatch)
    tell("trackio", tmp_path)
    assert capsys.readouterr().err == ""
    assert [call[2:] for call in calls if call[1] == "log"][:2] == [({"kl": 0.5}, 200), ({"eval/return": 1.0}, 100)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_the_library_itself_leaves_files_in_the_run(name: str, tmp_path: Path, monkeypatch, capsys) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed (pip install {name})")
    for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    tell(name, tmp_path)
    assert "told nothing more" not in capsys.readouterr().err
    found = {
        "tensorboard": "tensorboard/events.*",
        "wandb": "wandb/offline-run-*/*.wandb",
        "mlflow": "mlflow/mlflow.db",
    }
    assert list(tmp_path.glob(found[name]))


def test_several_flags_are_as_one_with_commas(tmp_path: Path) -> None:
    words = ["--track", "wandb", "--track", "tensorboard,wandb"]
    found = tyro.cli(TrainArguments, args=["navigation_maml", *words])
    assert list(find_trackers(",".join(found.track))) == ["wandb", "tensorboard"]
    assert (
        main(["train", "navigation_maml", "--out", str(tmp_path / "run"), "--track", "wnadb", "--track", "mlflow"]) == 2
    )
