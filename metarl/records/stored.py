"""What a finished run left, which may be anybody's: plain files of limited size, checked by a schema."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from metarl.errors import UserError
from metarl.files import inside, read_plain
from metarl.records.compact import Record, Seed, StoredConfig, Words, from_json, maxima_of, record_of
from metarl.runs.directory import CONFIG, EVALUATION, MAX_CONFIG_BYTES, METRICS, check_is_directory
from metarl.runs.log import read_metrics
from metarl.runs.own_experiment import Source
from metarl.whole import Count, Whole

MAX_EVALUATION_BYTES = 256 * 2**20
MAX_RECORD_BYTES = 16 * 2**20
SUFFIX = ".json"
"""Of a compact record."""

_Steps = Annotated[str, Meta(pattern=r"^\d{1,9}$")]


class _ConfigFile(Struct):
    experiment: Annotated[str, Meta(min_length=1, max_length=1000)]
    config: StoredConfig
    source: Source | None = None


class _Evaluation(Struct):
    iterations: Count = 0
    training_env_steps: Count = 0
    training_seconds: Annotated[float, Meta(ge=0)] = 0.0
    environment: dict[Words, Words | Whole | bool | None] = {}
    policies: dict[Words, dict[str, Any]] = {}
    config: StoredConfig | None = None


class _RLPolicy(Struct):
    tasks: Annotated[list[str], Meta(min_length=1)]
    outcomes: dict[Words, dict[Words, list[list[list[float]]]]]
    """Rounds of tasks of episodes by kind of action and measure."""
    strata: list[Words] = []
    also_without: list[Words] = []
    success_first_come: dict[str, list[float]] | None = None


class _Rejection(Struct):
    scores: dict[str, Annotated[list[float], Meta(min_length=1)]]


class _Suite(Struct):
    scores: dict[Words, dict[_Steps, Annotated[list[float], Meta(min_length=1)]]]
    episodes: dict[str, Any]
    out_of_scope: _Rejection | None = None


class _FewShotPolicy(Struct):
    kind: Words
    measure: Words
    suites: dict[Words, _Suite]


class _Scores(Struct):
    conditions: Annotated[list[Words], Meta(min_length=1)]
    steps: Annotated[list[Count], Meta(min_length=1)]
    tasks: Annotated[list[str], Meta(min_length=1)]
    interval: Literal["bootstrap", "normal"]
    samples_per_task: Count
    values: Annotated[dict[Words, list[list[list[list[float]]]]], Meta(min_length=1)]
    """(conditions, steps, tasks, samples) by measure."""
    strata: list[Words] = []


class _Policy(Struct):
    suites: Annotated[dict[Words, _Scores], Meta(min_length=1)]
    notes: list[str] = []
    success_first_come: dict[str, list[float]] | None = None
    episodes: dict[Words, dict[str, Any]] = {}


def read_config(run: Path) -> dict[str, Any]:
    """config.json of a run or a record. Raises UserError."""
    return _read(run, CONFIG, _ConfigFile, max_bytes=MAX_CONFIG_BYTES)


def read_evaluation(run: Path) -> dict[str, Any]:
    """evaluation.json of a run or a record. Raises UserError."""
    evaluation = _read(run, EVALUATION, _Evaluation, max_bytes=MAX_EVALUATION_BYTES)
    for name, policy in evaluation.get("policies", {}).items():
        # the first two are of version 0.1
        kind = _FewShotPolicy if "kind" in policy else _RLPolicy if "outcomes" in policy else _Policy
        _check(policy, kind, run / EVALUATION, f"policies.{name}")
        if kind is _RLPolicy:
            _check_shapes(policy, run / EVALUATION, name)
        if kind is _Policy:
            for scores in policy["suites"].values():
                _check_table(scores, run / EVALUATION, name)
    return evaluation


def read_seed(run: Path) -> Seed:
    """A run that ended, or a seed of a directory of records. Raises UserError."""
    check_is_directory(run)
    stored, evaluation = read_config(run), read_evaluation(run)
    files = [file for file in (EVALUATION, METRICS) if inside(run, file).is_file()]  # older records lack the second
    rows = read_metrics(inside(run, METRICS)) if METRICS in files else []
    sha256 = {file: _sha256(run, file) for file in files}
    return Seed(stored=stored, evaluation=evaluation, rows=rows, maxima=maxima_of(rows), sha256=sha256)


def read_record(place: Path) -> Record:
    """RESULTS/NAME.json, or a directory of seeds as metarl 0.1 stored them. Raises UserError."""
    if place.suffix == SUFFIX:
        return _read_compact(place)
    seeds = seeds_in(place, EVALUATION)
    if not seeds:
        raise UserError(f"{place} holds no seed with an {EVALUATION}; restore or remove it")
    with same_scores(str(place)):
        return record_of([read_seed(seed) for seed in seeds])


def _read_compact(path: Path) -> Record:
    inside(path.parent, path.name)
    try:
        return from_json(read_plain(path, max_bytes=MAX_RECORD_BYTES))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); restore it, or give another one") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no record of runs ({error}); restore it, or store the runs again") from error


def check_readable(data: bytes, name: str) -> None:
    """Before a record takes the place of an older one. Raises UserError for one that `read_record` would refuse."""
    fault = (
        f"it has {len(data)} bytes, more than the {MAX_RECORD_BYTES} allowed" if len(data) > MAX_RECORD_BYTES else ""
    )
    try:
        from_json(data)
    except (ValueError, RecursionError) as error:
        fault = str(error)
    if fault:
        raise UserError(f"the runs of {name} hold more than a record can ({fault:.300}); store other runs, or fewer")


def _sha256(run: Path, file: str) -> str:
    return hashlib.sha256(read_plain(inside(run, file), max_bytes=MAX_EVALUATION_BYTES)).hexdigest()


def seeds_in(result: Path, file: str) -> list[Path]:
    """The folders of its seeds that hold this file. Raises UserError for a link or the like."""
    names = sorted(path.name for path in result.glob("seed*"))
    return [result / name for name in names if inside(result, name, file).is_file()]


def read_results(results: Path) -> Iterator[tuple[str, Record]]:
    """What is stored, by name. Raises UserError."""
    if not results.is_dir():
        return
    for name in sorted({path.stem if path.suffix == SUFFIX else path.name for path in results.iterdir()}):
        if (place := place_of_record(results, name)) is not None:
            check_name(name)
            yield name, read_record(place)


def place_of_record(results: Path, name: str) -> Path | None:
    """NAME.json, which goes before the directory NAME of an older metarl; None where there is neither."""
    if (file := inside(results, name + SUFFIX)).is_file():
        return file
    directory = inside(results, name)
    return directory if directory.is_dir() and seeds_in(directory, EVALUATION) else None


def check_name(name: str) -> None:
    """Of a result: it names a directory, and stands in tables of Markdown. Raises UserError."""
    if not re.fullmatch(r"\w[\w.+-]{0,99}", name):
        raise UserError(f"{name!r:.100} is no name of a result; give one of letters, digits and any of _ . + -")


@contextmanager
def same_scores(name: str) -> Iterator[None]:
    """Raises UserError where records that are laid side by side inside do not hold the same policies and scores."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"the records of {name} do not hold the same scores ({error!r:.100}); evaluate and store them all again"
        ) from error


def _read(run: Path, name: str, schema: type[Struct], *, max_bytes: int) -> dict[str, Any]:
    path = inside(run, name)
    try:
        content = msgspec.json.decode(read_plain(path, max_bytes=max_bytes))
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror}); let the run end, evaluation included, or give another one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); evaluate the run again, or restore it") from error
    _check(content, schema, path, "")
    return content


def _check(content: Any, schema: type[Struct], path: Path, part: str) -> None:
    try:
        msgspec.convert(content, schema)
    except (msgspec.ValidationError, RecursionError) as error:
        where = f"{part}: " if part else ""
        raise UserError(
            f"{path} is not what a run leaves ({where}{error}); evaluate the run again, or restore it"
        ) from error


def _check_table(scores: dict[str, Any], path: Path, name: str) -> None:
    """All measures have a row for each condition, number of steps and task, and the strata go with the tasks."""
    wanted = tuple(len(scores[axis]) for axis in ("conditions", "steps", "tasks"))
    try:
        shapes = {np.shape(values) for values in scores["values"].values()}
    except ValueError:  # ragged
        shapes = set()
    strata = scores.get("strata") or scores["tasks"]
    if not shapes or any(shape[:3] != wanted or len(shape) != 4 or 0 in shape for shape in shapes):
        shapes = set()
    if not shapes or len(strata) != wanted[2]:
        raise UserError(
            f"{path} is not what a run leaves: the scores of {name!r:.100} have not one shape; evaluate the run again"
        )


def _check_shapes(policy: dict[str, Any], path: Path, name: str) -> None:
    """All measures have the same rounds, tasks and number of episodes, and the strata go with the tasks."""
    try:
        shapes = {np.shape(rounds) for measures in policy["outcomes"].values() for rounds in measures.values()}
    except ValueError:  # ragged
        shapes = set()
    strata = policy.get("strata") or []
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or 0 in shape or (strata and len(strata) != shape[1]):
        raise UserError(
            f"{path} is not what a run leaves: the outcomes of {name!r:.100} have not one shape; evaluate the run again"
        )
