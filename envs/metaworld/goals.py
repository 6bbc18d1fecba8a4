"""Meta-World's own goal lists as plain data: made once by metaworld's classes, then read from a cache file.

Building a list loads each task's model and draws its goals (3 s for ML10, 10 s for MT50); reading it takes
milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from metarl.envs.metaworld.names import TASK_NAMES
from metarl.errors import UserError, nearest
from metarl.tasks import by_class
from metarl.types import Task

FORMAT = 2
MUJOCO = "3.3.0"
"""metaworld 3.1.1's own pin. Nearly every other version gives other numbers, and some break tasks."""

UNUSED_SEED = 2
"""More than a benchmark's own: metaworld draws ML1's meta-train goals from that, its meta-test goals from the next."""


class Split(NamedTuple):
    """Meta-train and meta-test tasks of a benchmark."""

    train: list[Task]
    test: list[Task]


def cache_directory() -> Path:
    """`METARL_CACHE`, or the user's cache directory by the XDG rule."""
    if path := os.environ.get("METARL_CACHE"):
        return Path(path)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metarl"


def ml1_goals(env_name: str, *, seed: int) -> Split:
    """The 50 meta-train and 50 meta-test goals of ML1 on one task.

    From `metaworld.ML1(...)` itself, not from the gymnasium registry, which in 3.1.1 hands out the test goals
    under the name of the train split.
    """

    def build() -> Any:
        import metaworld

        return metaworld.ML1(env_name, seed=seed)

    return _cached(f"ml1_{env_name}_seed{seed}", build)


def benchmark_goals(benchmark: str, *, seed: int) -> Split:
    """The tasks of ML10, ML25, ML45, MT10, MT25 or MT50: 50 goals for each of its classes."""

    def build() -> Any:
        import metaworld

        return getattr(metaworld, benchmark)(seed=seed)

    return _cached(f"{benchmark.lower()}_seed{seed}", build)


def custom_goals(train_names: tuple[str, ...], test_names: tuple[str, ...], *, seed: int) -> Split:
    """ML1's own goals of each named class: its meta-train goals to train on, its meta-test goals to test on."""
    return Split(
        [task for name in train_names for task in ml1_goals(name, seed=seed).train],
        [task for name in test_names for task in ml1_goals(name, seed=seed).test],
    )


def other_goals(drawn: list[Task], *, per_class: int = 50) -> list[Task]:
    """The first so many goals of each class of another seed's draw, as tasks to choose settings by."""
    return [
        replace(task, id=f"{name}/val/{i}")
        for name, tasks in by_class(drawn).items()
        for i, task in enumerate(tasks[:per_class])
    ]


def check_task_name(env_name: str) -> None:
    """Raises UserError with the nearest name if Meta-World has no such task."""
    if env_name not in TASK_NAMES:
        raise UserError(
            f"env_name={env_name!r} is not one of Meta-World's {len(TASK_NAMES)} tasks"
            f"{nearest(env_name, TASK_NAMES)}; names look like 'reach-v3'"
        )


def warn_of_other_mujoco() -> None:
    """A warning where the installed mujoco is not the one that published Meta-World numbers come from."""
    if (installed := version("mujoco")) != MUJOCO:
        warnings.warn(
            f"mujoco {installed} is installed, and Meta-World's numbers are those of {MUJOCO}: do not compare with "
            f"published ones, or pip install mujoco=={MUJOCO}",
            stacklevel=3,
        )


def _cached(name: str, build: Callable[[], Any]) -> Split:
    warn_of_other_mujoco()
    versions = {"format": FORMAT, "metaworld": version("metaworld")}
    path = cache_directory() / f"goals_{name}_metaworld{versions['metaworld']}.json"
    try:
        stored = json.loads(path.read_bytes())
        if stored["versions"] == versions and stored["sha256"] == _digest(stored["tasks"]):
            return Split(**{part: [_task(**row) for row in rows] for part, rows in stored["tasks"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing, damaged or of another format: build it anew
    split = _from_benchmark(build)
    tasks = {part: [{"id": task.id, **task.params} for task in tasks] for part, tasks in split._asdict().items()}
    _write(path, json.dumps({"versions": versions, "sha256": _digest(tasks), "tasks": tasks}))
    return split


def _digest(tasks: object) -> str:
    return hashlib.sha256(json.dumps(tasks, sort_keys=True).encode()).hexdigest()


def _from_benchmark(build: Callable[[], Any]) -> Split:
    # metaworld draws its goals from NumPy's global generator, and puts its state back only if all goes well
    state = np.random.get_state()
    try:
        with _without_simulation():
            benchmark = build()
    finally:
        np.random.set_state(state)
    return Split(_tasks(benchmark.train_tasks, "train"), _tasks(benchmark.test_tasks, "test"))


@contextlib.contextmanager
def _without_simulation() -> Iterator[None]:
    """metaworld lets the arm settle for 250 steps before each goal, which no goal depends on: 3.6 times as long."""
    from metaworld.sawyer_xyz_env import SawyerXYZEnv

    kinematics = vars(importlib.import_module("mujoco"))["mj_kinematics"]

    def keep_still(env: Any, ctrl: Any, n_frames: Any = None) -> None:
        kinematics(env.model, env.data)  # where its bodies are is asked for

    with mock.patch.object(SawyerXYZEnv, "do_simulation", keep_still):
        yield


def _tasks(tasks: list[Any], split: str) -> list[Task]:
    counts: dict[str, int] = {}
    made = []
    for task in tasks:
        index = counts[task.env_name] = counts.get(task.env_name, -1) + 1
        # metaworld keeps its goals as pickles of its own making, in memory; ours are plain numbers from here on
        rand_vec = pickle.loads(task.data)["rand_vec"].tolist()
        made.append(_task(id=f"{task.env_name}/{split}/{index}", env_name=task.env_name, rand_vec=rand_vec))
    return made


def _task(*, id: str, env_name: str, rand_vec: list[float]) -> Task:
    return Task(id, {"env_name": env_name, "rand_vec": rand_vec}, stratum=env_name)


def _write(path: Path, text: str) -> None:
    """Whole or not at all; a cache that cannot be written is only slower."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as directory:
            file = Path(directory) / path.name
            file.write_text(text, encoding="utf-8")
            os.replace(file, path)
    except OSError:
        pass
