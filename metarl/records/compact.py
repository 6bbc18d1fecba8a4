"""The record of an experiment as one JSON file of some kilobytes: what tables, plots and `metarl compare` are made of.

Per-task means stand there rounded (`metarl.records.packed`), training curves thinned. The intervals, the maxima and the
SHA-256 of what a run left are of the full data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from metarl.fewshot.data.stored_episodes import digest, packed_episodes
from metarl.records.packed import MAX_VALUES, pack, pack_text, unpack, unpack_text
from metarl.runs.log import EVALUATED_AT
from metarl.runs.own_experiment import Source
from metarl.scores.stats import Interval
from metarl.scores.table import NOT_A_SCORE, Scores, over_seeds, suites_from_json
from metarl.whole import Count, Whole

CURVES = ("return/post", "success/post", "accuracy/post")
EVALUATED = "eval/{}/success_any/"
MODES = ("stochastic", "deterministic")
POINTS = 32
"""Of a training curve."""
Words = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f|<>]*$")]
"""What stands in tables of Markdown."""
_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_NOT_KEPT = ("outcomes", "outcomes_are", "summary", "suites", "tasks", "strata", "also_without", "kind", "measure")
"""Of a policy: the scores stand in a form of their own, and older records said some things twice."""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What one finished run left."""

    stored: dict[str, Any]
    """config.json."""
    evaluation: dict[str, Any]
    """evaluation.json."""
    rows: Sequence[Mapping[str, Any]]
    """metrics.jsonl, or some of its columns and rows."""
    maxima: Mapping[str, tuple[int, float, int]]
    """Of evaluations during training, by kind of action: how many, the best success_any and its iteration."""
    sha256: Mapping[str, str]
    """Of the files that the run left."""

    @property
    def number(self) -> int:
        return self.stored["config"]["trainer"]["seed"]

    def suites(self, policy: str) -> dict[str, Scores]:
        return suites_from_json(self.evaluation["policies"][policy])


Means = tuple[Interval, list[float]]
"""The mean over seeds with its interval, and each seed's mean."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Seeds of one experiment as results/NAME.json holds them."""

    seeds: tuple[Seed, ...]
    curves: Mapping[tuple[str, str, str, str], list[Means]]
    """After each number of steps, by policy, suite, condition and measure; those that all seeds have."""

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return [seed.evaluation for seed in self.seeds]


def record_of(seeds: Sequence[Seed]) -> Record:
    """With the intervals of the seeds' scores."""
    return Record(seeds=tuple(seeds), curves=_curves(seeds))


def maxima_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, float, int]]:
    """By kind of action: how many evaluations there were in training, the best score, and its iteration."""
    found = {}
    for mode in MODES:
        name = EVALUATED.format(mode)
        scores = [
            (max(value for key, value in row.items() if key.startswith(name)), row["iteration"])
            for row in rows
            if any(key.startswith(name) for key in row)
        ]
        if scores:
            found[mode] = (len(scores), *max(scores))
    return found


def _curves(seeds: Sequence[Seed]) -> dict[tuple[str, str, str, str], list[Means]]:
    found: dict[tuple[str, str, str, str], list[Means]] = {}
    for policy in seeds[0].evaluation["policies"]:
        of_seeds = [seed.suites(policy) for seed in seeds]
        for suite, first in of_seeds[0].items():
            if not all(suite in suites for suites in of_seeds):
                continue  # older records were made without it
            scores = [suites[suite] for suites in of_seeds]
            for condition in first.conditions:
                for measure in first.measures:
                    means = np.array([s.of(condition, measure).mean(-1) for s in scores]).T
                    intervals = over_seeds(scores, condition, measure)
                    found[policy, suite, condition, measure] = list(zip(intervals, means.tolist(), strict=True))
    return found


# ---- to JSON


@dataclass
class Once:
    """What many seeds and policies have in common stands once, and they hold its place."""

    tasks: list[int | str] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    environments: list[dict[str, Any]] = field(default_factory=list)

    def place(self, items: list[Any], item: Any) -> int:
        if item not in items:
            items.append(item)
        return items.index(item)


def to_json(record: Record) -> bytes:
    """The record's file: settings and versions once, what differs by seed, numbers in 16 bits."""
    once = Once()
    first = record.seeds[0].stored
    scores: dict[str, Any] = {}
    for (policy, suite, condition, measure), rows in record.curves.items():
        by_measure = scores.setdefault(policy, {}).setdefault(suite, {}).setdefault(condition, {})
        found = [_rounded(*interval, *means[len(means) == 1 :]) for interval, means in rows]
        by_measure[measure] = next((other for other, of_other in by_measure.items() if of_other == found), found)
    seeds = [_seed_to_json(seed, once) for seed in record.seeds]
    content = {
        "format": 1,
        **{name: first[name] for name in ("experiment", "config", "source") if name in first},
        "scores": scores,
        "seeds": seeds,
        **vars(once),
    }
    return (_lines(content, 4) + "\n").encode()


def _seed_to_json(seed: Seed, once: Once) -> dict[str, Any]:
    evaluation = seed.evaluation
    policies = {}
    for name, policy in evaluation["policies"].items():
        kept = {key: value for key, value in policy.items() if key not in _NOT_KEPT}
        if episodes := packed_episodes(policy):
            kept["episodes"] = once.place(
                once.episodes, {suite: {"sha256": digest(packed)} for suite, packed in episodes.items()}
            )
        suites = {suite: _scores_to_json(scores.condensed(), once) for suite, scores in seed.suites(name).items()}
        policies[name] = kept | {"suites": suites}
    return {
        "seed": seed.number,
        **{name: evaluation[name] for name in ("iterations", "training_env_steps")},
        "training_seconds": round(evaluation["training_seconds"], 3),
        "environment": once.place(once.environments, evaluation["environment"]),
        "sha256": dict(seed.sha256),
        "maxima": {mode: [count, round(best, 6), at] for mode, (count, best, at) in seed.maxima.items()},
        "training": _rows_to_json(seed.rows),
        "policies": policies,
    }


def _scores_to_json(scores: Scores, once: Once) -> dict[str, Any]:
    kept = next(iter(scores.values.values())).shape[-1]
    return {
        "conditions": scores.conditions,
        "steps": scores.steps,
        "tasks": once.place(once.tasks, _tasks_to_json(scores)),
        "interval": scores.interval,
        "samples_per_task": scores.samples_per_task,
        **({"kept": kept} if kept > 1 else {}),
        "values": _values_to_json({name: v for name, v in scores.values.items() if name not in NOT_A_SCORE}),
    }


def _values_to_json(values: Mapping[str, NDArray]) -> dict[str, Any]:
    """Packed, or the name of another measure with the same ones, as success at any step and at the last may be."""
    packed: dict[str, Any] = {}
    for name, array in values.items():
        same = next((other for other in packed if np.array_equal(array, values[other])), None)
        packed[name] = same or pack(array)
    return packed


def _tasks_to_json(scores: Scores) -> int | str:
    """How many, where they are named by their number, as few-shot tasks are."""
    if not scores.strata and scores.tasks == numbered(len(scores.tasks)):
        return len(scores.tasks)
    return pack_text(json.dumps({"tasks": scores.tasks, "strata": scores.strata}))


def numbered(count: int) -> tuple[str, ...]:
    """Ids of test tasks that have none but their number."""
    return tuple(f"test{i}" for i in range(count))


def _rows_to_json(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Some of the columns, of every n-th row and the last, `POINTS` or so."""
    is_kept = (*CURVES, *map(EVALUATED.format, MODES))
    columns = sorted({name for row in rows for name in row if name.startswith(is_kept)})
    rows = [row for row in rows if any(name in row for name in columns)]
    kept = [*rows[:: max(1, -(-len(rows) // POINTS))], *rows[-1:]]
    if len(kept) > 1 and kept[-1] is kept[-2]:
        kept.pop()
    names = ["iteration", "env_steps", *([EVALUATED_AT] if any(EVALUATED_AT in row for row in kept) else []), *columns]
    columns_of = {name: np.array([row.get(name, np.nan) for row in kept], np.float64) for name in names}
    return {"rows": len(kept), "columns": {name: pack(values) for name, values in columns_of.items()} if kept else {}}


def _rounded(*values: float) -> list[float]:
    """The shortest numbers that every table shows as it shows the values, ties and all, and half of low to high too."""
    shown = _shown(*values)
    candidates = ([float(f"{value:.{digits}g}") for value in values] for digits in range(6, 17))
    return next((found for found in candidates if _shown(*found) == shown), list(values))


def _shown(*values: float) -> list[str]:
    half = (values[2] - values[1]) / 2 if len(values) > 2 else 0.0
    texts = [
        f"{scale * value:.{decimals}f}" for value in (*values, half) for scale in (1, 100) for decimals in range(4)
    ]
    return [*texts, *(f"{value:.3g}" for value in values), f"{half:.2g}"]


def _lines(content: Any, depth: int) -> str:
    """JSON with a line for each entry of the outer levels, so that differences show in git."""
    if depth and isinstance(content, Mapping):
        return (
            "{" + ",\n".join(f"{json.dumps(name)}:{_lines(value, depth - 1)}" for name, value in content.items()) + "}"
        )
    if depth and isinstance(content, list):
        return "[" + ",\n".join(_lines(value, depth - 1) for value in content) + "]"
    return json.dumps(content, separators=(",", ":"))


# ---- and back


class StoredTrainer(Struct):
    """What is read of a trainer's settings."""

    seed: Count
    iterations: Count


class StoredConfig(Struct):
    """What is read of a config."""

    trainer: StoredTrainer


class _Packed(Struct):
    over: Annotated[float, Meta(gt=0)]
    data: str
    along: Literal[1] | None = None


class _Scores(Struct):
    conditions: Annotated[list[Words], Meta(min_length=1)]
    steps: Annotated[list[Count], Meta(min_length=1)]
    tasks: Count
    interval: Literal["bootstrap", "normal"]
    samples_per_task: Count
    values: Annotated[dict[Words, _Packed | Words], Meta(min_length=1)]
    """Or the name of a measure with the same ones."""
    kept: Annotated[int, Meta(ge=1, le=MAX_VALUES)] = 1
    """Samples of each task in `values`: its mean alone, but of two tasks all."""


class _Policy(Struct):
    suites: Annotated[dict[Words, _Scores], Meta(min_length=1)]
    notes: list[str] = []
    success_first_come: dict[str, list[float]] | None = None
    episodes: Count | None = None


class _Training(Struct):
    rows: Annotated[int, Meta(ge=0, le=10 * POINTS)]
    columns: Annotated[dict[Words, _Packed], Meta(max_length=100)]


class _Seed(Struct):
    seed: Count
    iterations: Count
    training_env_steps: Count
    training_seconds: Annotated[float, Meta(ge=0)]
    environment: Count
    sha256: dict[Words, _Digest]
    maxima: dict[Words, tuple[Count, float, Count]]
    training: _Training
    policies: Annotated[dict[Words, _Policy], Meta(min_length=1)]


class _TaskList(Struct):
    tasks: Annotated[list[str], Meta(min_length=1)]
    strata: list[Words] = []


_Counted = Annotated[int, Meta(ge=1, le=MAX_VALUES)]


class _File(Struct):
    format: Literal[1]
    experiment: Annotated[str, Meta(min_length=1, max_length=1000)]
    config: StoredConfig
    seeds: Annotated[list[_Seed], Meta(min_length=1)]
    tasks: Annotated[list[_Counted | str], Meta(max_length=1000)]
    scores: dict[Words, dict[Words, dict[Words, dict[Words, list[list[float]] | Words]]]]
    episodes: Annotated[list[dict[Words, dict[str, _Digest]]], Meta(max_length=1000)]
    environments: Annotated[list[dict[Words, Words | Whole | bool | None]], Meta(max_length=1000)]
    source: Source | None = None


def from_json(data: bytes) -> Record:
    """Raises ValueError (of msgspec too) or RecursionError for what is no such record."""
    content = msgspec.json.decode(data)
    file = msgspec.convert(content, _File)
    lists = [_tasks_from_json(packed) for packed in file.tasks]
    _check_size(file, lists)
    stored = {name: content[name] for name in ("experiment", "config", "source") if name in content}
    seeds = [
        _seed_from_json(raw, seed, stored, file, lists) for raw, seed in zip(content["seeds"], file.seeds, strict=True)
    ]
    curves = {
        (policy, suite, condition, measure): _means_from_json(by_measure, rows)
        for policy, by_suite in file.scores.items()
        for suite, by_condition in by_suite.items()
        for condition, by_measure in by_condition.items()
        for measure, rows in by_measure.items()
    }
    _check_curves(curves, seeds)
    return Record(seeds=tuple(seeds), curves=curves)


def _means_from_json(by_measure: Mapping[str, Any], rows: list[list[float]] | str) -> list[Means]:
    found = by_measure.get(rows) if isinstance(rows, str) else rows
    if not isinstance(found, list) or any(len(row) < 3 for row in found):
        raise ValueError("its scores are not the mean, low and high of each number of steps")
    return [(Interval(*row[:3]), row[3:] or row[:1]) for row in found]


def _tasks_from_json(packed: int | str) -> _TaskList:
    if isinstance(packed, int):
        return _TaskList(list(numbered(packed)))
    return msgspec.json.decode(unpack_text(packed).encode(), type=_TaskList)


def _check_size(file: _File, lists: Sequence[_TaskList]) -> None:
    """Before anything is unpacked: what is small in a file can be large in memory."""
    count = 0
    for seed in file.seeds:
        count += seed.training.rows * len(seed.training.columns)
        for policy in seed.policies.values():
            for scores in policy.suites.values():
                tasks = _at(lists, scores.tasks)
                if tasks.strata and len(tasks.strata) != len(tasks.tasks):
                    raise ValueError("its tasks and their strata are not equally many")
                shape = (len(scores.conditions), len(scores.steps), len(tasks.tasks), scores.kept, len(scores.values))
                count += math.prod(shape)
    if count > MAX_VALUES:
        raise ValueError(f"it holds {count} numbers, more than the {MAX_VALUES} allowed")


def _seed_from_json(
    raw: Mapping[str, Any], seed: _Seed, stored: Mapping[str, Any], file: _File, lists: Sequence[_TaskList]
) -> Seed:
    config = stored["config"]
    policies = {}
    for name, policy in seed.policies.items():
        suites = {suite: _scores_from_json(scores, lists) for suite, scores in policy.suites.items()}
        policies[name] = raw["policies"][name] | {"suites": suites}
        if policy.episodes is not None:
            policies[name]["episodes"] = _at(file.episodes, policy.episodes)
    named = ("iterations", "training_env_steps", "training_seconds")
    return Seed(
        stored={**stored, "config": config | {"trainer": config["trainer"] | {"seed": seed.seed}}},
        evaluation={name: raw[name] for name in named}
        | {"environment": _at(file.environments, seed.environment), "policies": policies},
        rows=_rows_from_json(seed.training),
        maxima=seed.maxima,
        sha256=seed.sha256,
    )


def _at(items: Sequence[Any], place: int) -> Any:
    if place >= len(items):
        raise ValueError(f"it has {len(items)} entries where one holds place {place}")
    return items[place]


def _scores_from_json(scores: _Scores, lists: Sequence[_TaskList]) -> dict[str, Any]:
    """As `Scores.to_json` writes it, with arrays for lists of lists."""
    tasks = lists[scores.tasks]
    shape = (len(scores.conditions), len(scores.steps), len(tasks.tasks), scores.kept)
    return {
        "conditions": scores.conditions,
        "steps": scores.steps,
        "tasks": tasks.tasks,
        "strata": tasks.strata,
        "interval": scores.interval,
        "samples_per_task": scores.samples_per_task,
        "values": {name: unpack(msgspec.to_builtins(_packed(scores, name)), shape) for name in scores.values},
    }


def _packed(scores: _Scores, measure: str) -> _Packed:
    found = scores.values[measure]
    same = scores.values.get(found) if isinstance(found, str) else found
    if not isinstance(same, _Packed):
        raise ValueError(f"it has no values of {measure!r:.100}")
    return same


def _rows_from_json(training: _Training) -> list[dict[str, Any]]:
    columns = {name: unpack(msgspec.to_builtins(packed), (training.rows,)) for name, packed in training.columns.items()}
    if training.rows and not {"iteration", "env_steps"} <= columns.keys():
        raise ValueError("its training has no iteration or no env_steps")
    rows = []
    for i in range(training.rows):
        row: dict[str, Any] = {name: float(values[i]) for name, values in columns.items() if np.isfinite(values[i])}
        rows.append(row | {"iteration": int(row["iteration"]), "env_steps": int(row["env_steps"])})
    return rows


def _check_curves(curves: Mapping[tuple[str, str, str, str], list[Means]], seeds: Sequence[Seed]) -> None:
    """They are of the seeds' own scores."""
    for (policy, suite, condition, measure), rows in curves.items():
        try:
            of_seeds = [seed.suites(policy)[suite] for seed in seeds]
            steps = len(of_seeds[0].steps)
            known = all(condition in scores.conditions and measure in scores.values for scores in of_seeds)
        except KeyError:
            known, steps = False, 0
        if not known or len(rows) != steps or any(len(means) != len(seeds) for _, means in rows):
            raise ValueError(f"its scores of {policy!r:.100} are not those of its seeds")
