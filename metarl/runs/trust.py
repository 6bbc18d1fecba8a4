"""What a run says of itself is data: none of it is imported, called or opened unless the user says so as well.

A run directory may come from anybody. Its config names an env, files of data and an experiment file; each is taken
only where it is the experiment's own, where the user names it again, or with `--trust`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from metarl.config import NAMES_CODE, NAMES_FILES, marked_values
from metarl.errors import UserError
from metarl.experiment import presets_of
from metarl.files import inside, read_plain
from metarl.runs.directory import CONFIG, StoredRun
from metarl.runs.find import load_experiment
from metarl.runs.log import say
from metarl.runs.own_experiment import DIRECTORY, MAX_BYTES, Source, digest, place_of, read_experiment


@dataclass(frozen=True)
class Trust:
    """What the user says of a run, now: on the command line or in Python."""

    stored: bool = False
    """`--trust`: read the files that its config names, and run the experiment file that it keeps."""
    experiment: Path | None = None
    """`--experiment FILE`: run this file in place of the one that it was trained with."""


NO_TRUST = Trust()


def trusted_experiment(run: Path, stored: StoredRun, trust: Trust) -> ModuleType:
    """The module of a run's experiment; a .py file runs at the user's word alone. Raises UserError."""
    name, source, given = stored.experiment, stored.source, trust.experiment
    if not name.endswith(".py"):
        if given is not None:
            raise UserError(f"{run} is a run of {name}, which is no file of your own; leave out --experiment {given}")
        return load_experiment(name)
    if given is not None:
        if given.suffix != ".py" or not given.is_file():
            raise UserError(
                f"--experiment {given} is no .py file; give the one that {run} was trained with, {name!r:.100}"
            )
        own = read_experiment(given)
        if source is None or own.sha256 != source.sha256:
            then = f"has the SHA-256 {source.sha256:.16}..." if source else "was not kept"
            say(f"running {given} (SHA-256 {own.sha256:.16}...), and that of {run} {then}", sys.stderr)
        return load_experiment(str(given))
    if source is None:
        raise UserError(
            f"{run} was trained with {name!r:.100} and keeps no copy of it; give --experiment FILE to run yours"
        )
    if source.files[:1] != (name,):
        raise UserError(f"{run / CONFIG} is damaged: it names no copy of {name!r:.100}; give --experiment FILE")
    where = f"{run / DIRECTORY / source.files[0]} (SHA-256 {source.sha256:.16}...)"
    if not trust.stored:
        raise UserError(
            f"{run} was trained with an experiment file, and reading the run would run its code, {where}; give --trust "
            "to run it, or --experiment FILE to run yours"
        )
    files = _kept_files(run, source)
    say(f"running {where}, which {run} keeps", sys.stderr)
    return load_experiment(str(place_of(files)))


@contextmanager
def goes_with(run: Path, stored: StoredRun, trust: Trust) -> Iterator[None]:
    """Raises UserError that names `--experiment` where another file does not go with what the run holds."""
    try:
        yield
    except UserError as error:
        given, source = trust.experiment, stored.source
        if given is None or (source is not None and read_experiment(given).sha256 == source.sha256):
            raise
        raise UserError(
            f"--experiment {given} does not go with {run} ({error}); give the file that it was trained with, "
            f"{stored.experiment!r:.100}, or --trust to run the copy that it keeps"
        ) from error


def _kept_files(run: Path, source: Source) -> dict[str, bytes]:
    """Raises UserError where they are not those that the run was trained with."""
    try:
        files = {
            name: read_plain(inside(run, DIRECTORY, *name.split("/")), max_bytes=MAX_BYTES) for name in source.files
        }
    except OSError as error:
        raise UserError(
            f"{run} lacks a part of its experiment file ({error}); give --experiment FILE to run yours"
        ) from error
    if (found := digest(files)) != source.sha256:
        raise UserError(
            f"{run / DIRECTORY} was changed: its SHA-256 is {found:.16}..., and the run was trained with "
            f"{source.sha256:.16}...; restore it, or give --experiment FILE to run yours"
        )
    return files


def check_stored_config(run: Path, module: ModuleType, stored: Any, *, named: Collection[str], trust: Trust) -> None:
    """Raises UserError for a field of a stored config that names code or files and is not the experiment's own.

    `named`: dotted names of the fields that the user gives anew. With `trust.stored` files are read, and told; code is
    not even then: no command line changes it, so that another one was put there by hand.
    """
    own = [module.config(), *(preset.config for preset in presets_of(module).values())]
    for name, value in _others(stored, own, NAMES_CODE, named).items():
        raise UserError(
            f"{run} says {name}={value!r:.100}, which {module.__name__} does not, and what a run says is not run as "
            "code; restore its config.json, or write an experiment file of your own that says so"
        )
    for name, value in _others(stored, own, NAMES_FILES, named).items():
        if not trust.stored:
            raise UserError(
                f"{run} says {name}={value!r:.100}, which lies outside of it and is not read at its word; give "
                f"--{name} PATH, or --trust to read what it names"
            )
        say(f"reading {value!r:.300}, which {run} names as {name}", sys.stderr)


def _others(stored: Any, own: list[Any], mark: str, named: Collection[str]) -> dict[str, Any]:
    """Values of the marked fields that neither any of `own` nor the user says."""
    said = [marked_values(config, mark) for config in own]
    return {
        name: value
        for name, value in marked_values(stored, mark).items()
        if name not in named and not any(values.get(name, ...) == value for values in said)
    }
