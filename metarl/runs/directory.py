"""The directory of one run: locked while in use, with the config and versions that made its numbers.

RUN/  config.json  versions.json  metrics.jsonl  checkpoints/  run.lock (while in use)
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import metarl
from metarl.errors import UserError
from metarl.files import replace_file
from metarl.runs.lock import Lock
from metarl.runs.same_config import differences, flatten
from metarl.runs.versions import library_versions

CONFIG, VERSIONS, LOCK = "config.json", "versions.json", "run.lock"
METRICS, CHECKPOINTS = "metrics.jsonl", "checkpoints"
Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class RunDirectory:
    """A locked run directory; a context manager that unlocks it at its end."""

    path: Path
    lock: Lock

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        resume: bool,
        experiment: str,
        config: Mapping[str, Any],
        may_differ: Collection[str] = (),
        complete: Complete = dict,
    ) -> RunDirectory:
        """Make or reopen a run directory, lock it, and write config.json and versions.json.

        Raises UserError, and leaves everything as it was, if the place is not writable or is in use; if it
        holds a run and `resume` is off, or none and it is on; or if a resumed run has another experiment or
        config, apart from the fields (dotted names, or one of their parts) in `may_differ`. `complete` gives an
        older run's config the fields that came into being after it.
        """
        path = Path(path).absolute()
        made = _make_directories(path)
        lock, new_files = None, []
        try:
            lock = _lock(path)
            if resume:
                _check_same(path, experiment, config, may_differ, complete)
            elif any((path / name).exists() for name in (CONFIG, METRICS, CHECKPOINTS)):
                raise UserError(f"{path} already holds a run; give --resume to go on, or choose another --out")
            new_files = [path / name for name in (VERSIONS, CONFIG) if not (path / name).exists()]
            _write_json(path / VERSIONS, environment())
            _write_json(path / CONFIG, {"experiment": experiment, "config": config})
        except BaseException:
            for file in new_files:
                file.unlink(missing_ok=True)
            if lock is not None:
                lock.release()
            for directory in made:
                directory.rmdir()
            raise
        return cls(path, lock)

    @property
    def metrics_path(self) -> Path:
        return self.path / METRICS

    @property
    def checkpoints_path(self) -> Path:
        return self.path / CHECKPOINTS

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock.release()


def read_run_config(path: Path) -> tuple[str, dict[str, Any]]:
    """Experiment and config of a run. Raises UserError if the directory holds none."""
    where = Path(path) / CONFIG
    try:
        data = json.loads(where.read_bytes())
        return str(data["experiment"]), dict(data["config"])
    except OSError as error:
        raise UserError(
            f"{path} holds no run ({CONFIG}: {error.strerror}); give the --out of an earlier run"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{where} is damaged ({error!r}); restore it or start a new run") from error


def environment() -> dict[str, Any]:
    """What the numbers of a run depend on besides its config."""
    return {
        **library_versions(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        **_git_state(Path(metarl.__file__).parent.parent),
    }


def _git_state(root: Path) -> dict[str, Any]:
    """Commit, and whether files differ from it; None where the code does not lie in a checkout of its own."""
    if not (root / ".git").exists():  # an installed copy may lie inside some other project's checkout
        return {"git_commit": None, "git_dirty": None}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _make_directories(path: Path) -> list[Path]:
    """Make the directory and its parents; those made, deepest first."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    made: list[Path] = []
    try:
        for part in reversed(missing):
            part.mkdir()
            made.insert(0, part)
        if not path.is_dir():
            raise NotADirectoryError(0, "not a directory")
    except OSError as error:
        for part in made:
            part.rmdir()
        raise _not_writable(path, error) from error
    return made


def _lock(path: Path) -> Lock:
    try:
        return Lock(path / LOCK)
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write to {path}: {error.strerror or error}; choose another --out")


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    try:
        replace_file(path, json.dumps(data, indent=2, allow_nan=False).encode())
    except OSError as error:
        raise _not_writable(path.parent, error) from error


def _check_same(
    path: Path, experiment: str, config: Mapping[str, Any], may_differ: Collection[str], complete: Complete
) -> None:
    if not (path / CONFIG).exists():
        raise UserError(f"{path} holds no run to resume; leave out --resume or give the --out of an earlier run")
    old_experiment, old_config = read_run_config(path)
    old = {"experiment": old_experiment, **flatten(complete(old_config))}
    new = {"experiment": experiment, **flatten(json.loads(json.dumps(config)))}
    old, new = (
        {name: value for name, value in flat.items() if not {name, *name.split(".")} & set(may_differ)}
        for flat in (old, new)
    )
    if differing := differences(old, new):
        raise UserError(f"cannot resume {path} with other settings: {'; '.join(differing)}; leave them as they were")
