"""The directory of one run: locked while in use, with the config and versions that made its numbers.

RUN/  config.json  versions.json  metrics.jsonl  checkpoints/  replay/ (of an off-policy agent)
      experiment/ (your own file)  run.lock (while in use)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from metarl.config import is_one_of
from metarl.errors import UserError, nearest
from metarl.files import inside, make_directories, read_plain, remove_empty, remove_stale, replace_file
from metarl.runs.checkpoint import iterations_of
from metarl.runs.lock import Lock
from metarl.runs.own_experiment import DIRECTORY, OwnExperiment, Source
from metarl.runs.same_config import differences, experiment_key, flatten
from metarl.runs.versions import environment

CONFIG, VERSIONS, LOCK = "config.json", "versions.json", "run.lock"
REPORT = "report.html"
METRICS, CHECKPOINTS, EVALUATION, TENSORBOARD = "metrics.jsonl", "checkpoints", "evaluation.json", "tensorboard"
REPLAY = "replay"
WRITTEN = (CONFIG, VERSIONS, LOCK, METRICS, CHECKPOINTS, DIRECTORY, EVALUATION, TENSORBOARD, REPLAY, REPORT)
MAX_CONFIG_BYTES = 2**20
Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class StoredRun(msgspec.Struct, frozen=True):
    """What config.json says."""

    experiment: str
    """A name of `metarl list`, or that of a .py file."""
    config: dict[str, Any]
    source: Source | None = None
    """Of a .py file; None in runs from before they kept a copy."""


@dataclass(frozen=True)
class RunDirectory:
    """A locked run directory; a context manager that unlocks it at its end.

    Where an error ends a new run before its first meta-update, what it wrote goes again: there is nothing to go on
    with, and the same command may be given anew.
    """

    path: Path
    lock: Lock
    new: tuple[str, ...] = ()
    """Of what a run writes, what was not there before this one began; nothing of one that is resumed."""
    made: tuple[Path, ...] = ()
    """Directories that were made for it, deepest first."""

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        resume: bool,
        experiment: str | OwnExperiment,
        config: Mapping[str, Any],
        may_differ: Collection[str] = (),
        complete: Complete = dict,
    ) -> RunDirectory:
        """Make or reopen a run directory, lock it, and write config.json, versions.json and a copy of your own file.

        Raises UserError, and leaves everything as it was, if the place is not writable or is in use; if it
        holds a run and `resume` is off, or none and it is on; or if a resumed run has another experiment or
        config, apart from the fields (dotted names, or those of a group) in `may_differ`. `complete` gives an
        older run's config the fields that came into being after it.
        """
        path = Path(path).absolute()
        made = _make_directories(path)
        before = {name for name in WRITTEN if inside(path, name).exists()}
        own = experiment if isinstance(experiment, OwnExperiment) else None
        stored = StoredRun(own.path.name if own else str(experiment), dict(config), own.source if own else None)
        lock, new_files, copy = None, [], None
        try:
            lock = _lock(path)
            remove_stale(path)
            if resume:
                stored = _check_same(path, stored, may_differ, complete)
            elif any((path / name).exists() for name in (CONFIG, METRICS, CHECKPOINTS)):
                raise UserError(f"{path} already holds a run; give --resume to go on, or choose another --out")
            new_files = [path / name for name in (VERSIONS, CONFIG) if not (path / name).exists()]
            if own is not None:
                copy = None if (path / DIRECTORY).exists() else path / DIRECTORY
                _write_copy(path, own)
            _write_json(path / VERSIONS, [*_earlier_starts(path), {"started": _now(), **environment()}])
            _write_json(path / CONFIG, {name: value for name, value in _plain(stored).items() if value is not None})
        except BaseException:
            for file in new_files:
                file.unlink(missing_ok=True)
            if copy is not None:
                shutil.rmtree(copy, ignore_errors=True)
            if lock is not None:
                lock.release()
            remove_empty(made)
            raise
        return cls(path, lock, () if resume else tuple(name for name in WRITTEN if name not in before), tuple(made))

    @property
    def metrics_path(self) -> Path:
        return inside(self.path, METRICS)

    @property
    def checkpoints_path(self) -> Path:
        return inside(self.path, CHECKPOINTS)

    @property
    def replay_path(self) -> Path:
        return inside(self.path, REPLAY)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_void = isinstance(error, Exception) and bool(self.new) and not any(iterations_of(self.checkpoints_path))
        for name in self.new if is_void else ():
            place = inside(self.path, name)
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            elif name != LOCK:
                place.unlink(missing_ok=True)
        self.lock.release()
        if is_void:
            remove_empty(self.made)


def read_run_config(path: Path) -> StoredRun:
    """Raises UserError if the directory holds no run."""
    check_is_directory(path)
    where = inside(path, CONFIG)
    try:
        return msgspec.json.decode(read_plain(where, max_bytes=MAX_CONFIG_BYTES), type=StoredRun)
    except OSError as error:
        raise UserError(
            f"{path} holds no run ({CONFIG}: {error.strerror}); give the --out of an earlier run"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is damaged ({error}); restore it or start a new run") from error


def check_is_directory(run: Path) -> None:
    """Raises UserError for a file in place of a run, and where there is nothing, with the nearest name beside it."""
    try:
        if run.is_dir():
            return
        is_there, beside = run.exists(), [path.name for path in run.parent.iterdir() if path.is_dir()]
    except OSError:  # whatever reads it tells why that fails
        is_there, beside = False, []
    if is_there:
        raise UserError(f"{run} is no directory, and so no run; give the --out of an earlier run")
    raise UserError(f"there is no {run}{nearest(run.name, beside)}; give the --out of an earlier run")


def _make_directories(path: Path) -> list[Path]:
    try:
        return make_directories(path)
    except OSError as error:
        raise _not_writable(path, error) from error


def _lock(path: Path) -> Lock:
    try:
        return Lock(path / LOCK)
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write to {path}: {error.strerror or error}; choose another --out")


def _earlier_starts(path: Path) -> list[dict[str, Any]]:
    """An entry of versions.json for each time that the run was started; one before there was a list of them."""
    where = inside(path, VERSIONS)
    if not where.exists():
        return []
    try:
        found = msgspec.json.decode(
            read_plain(where, max_bytes=MAX_CONFIG_BYTES), type=list[dict[str, Any]] | dict[str, Any]
        )
    except OSError as error:
        raise UserError(f"cannot read {where} ({error.strerror}); restore or remove it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is damaged ({error}); restore or remove it") from error
    return found if isinstance(found, list) else [found]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_json(path: Path, data: Any) -> None:
    try:
        replace_file(path, json.dumps(data, indent=2, allow_nan=False).encode())
    except OSError as error:
        raise _not_writable(path.parent, error) from error


def _write_copy(path: Path, own: OwnExperiment) -> None:
    """Also where a part of it is there already, of a start that was killed."""
    try:
        for name, data in own.files.items():
            place = inside(path, DIRECTORY, *name.split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, data)
    except OSError as error:
        raise _not_writable(path, error) from error


def _plain(stored: StoredRun) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(stored))  # JSON has no tuples


def _check_same(path: Path, new_run: StoredRun, may_differ: Collection[str], complete: Complete) -> StoredRun:
    """What is to be stored: the new config, and where the experiment file lay at first."""
    if not (path / CONFIG).exists():
        raise UserError(f"{path} holds no run to resume; leave out --resume or give the --out of an earlier run")
    old_run = read_run_config(path)
    old = {**experiment_key(_plain(old_run)), **flatten(complete(old_run.config))}
    new = {**experiment_key(_plain(new_run)), **flatten(_plain(new_run)["config"])}
    if old_run.source is None:  # a run from before they kept a copy
        del new["experiment's SHA-256"]
        del old["experiment's SHA-256"]
    old, new = ({name: value for name, value in flat.items() if not is_one_of(name, may_differ)} for flat in (old, new))
    if differing := differences(old, new):
        raise UserError(f"cannot resume {path} with other settings: {'; '.join(differing)}; leave them as they were")
    return new_run if old_run.source is None else msgspec.structs.replace(new_run, source=old_run.source)
