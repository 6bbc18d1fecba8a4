"""Scores on held-out tasks: fixed seeded episodes, each counted by itself, with the intervals over them."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.config import MAY_DIFFER, all_fields
from metarl.errors import SettingError, UserError
from metarl.fewshot.data.source import EpisodeSource, HasOutOfScope, HasVal
from metarl.fewshot.examples import count_ways
from metarl.fewshot.learner import FewShotBehaviour, Mode
from metarl.fewshot.losses import accuracy, squared_error
from metarl.fewshot.out_of_scope import draw_strangers, tell_apart
from metarl.progress import one_part, tell_progress
from metarl.scores.table import Evaluation, Scores, out_of_scope
from metarl.seeding import SeedKey, numpy_rng
from metarl.types import Task, TaskData
from metarl.validate import Bounds, Checked, Count, Natural


@all_fields(MAY_DIFFER)
@dataclass(frozen=True, kw_only=True)
class FewShotEvaluationConfig(Checked):
    """Settings of the score on held-out tasks."""

    suites: tuple[str, ...] = ("5w1s",)
    """Kinds of held-out tasks: 5w1s is 5-way 1-shot, 5w1s1q with one query a class, 10s a regression from 10 points,
    and those of the data set."""
    num_episodes: Count = 600
    """Held-out tasks of each suite, the same ones in every run of a seed; a data set's own suite has its own number."""
    modes: tuple[Mode, ...] = ("inductive", "transductive")
    """Whose statistics normalise the queries; without batch normalisation there is only the first."""
    held_out: Literal["test", "val"] = "test"
    """Whose classes are scored: choose settings by val, that test stays what nothing was chosen by (`--val-share`)."""
    episodes_seed: Natural = 0
    """The held-out tasks follow from it and not from the run's seed, so that runs are compared on the same ones."""

    out_of_scope_queries: Natural = 100
    """Asked of each task of `out_of_scope_ways` classes or more, as far as the data set has them; 0: none. Inductively,
    for a stranger's own statistics must not help to know it."""
    out_of_scope_ways: Annotated[int, Bounds(least=2)] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.suites or not self.modes:
            raise SettingError("suites and modes must not be empty; give at least one of each, such as 5w1s, inductive")


DIVERGED_ERROR = 1e12
"""Squared error of a task whose adaptation diverged, in place of an infinity, which JSON has not."""


TASKS_AT_ONCE = 25
"""Of an evaluation. What a source draws with a task's data depends on it: another number, other numbers."""


def few_shot_evaluate(
    behaviour: FewShotBehaviour, source: EpisodeSource, config: FewShotEvaluationConfig
) -> Evaluation:
    """Adapt to each held-out task from the prior and answer its queries; theta is untouched."""
    modes = config.modes if behaviour.has_statistics else config.modes[:1]
    suites: dict[str, Scores] = {}
    episodes, notes = {}, []
    for index, suite in enumerate(config.suites):
        seed = _suite_seed(config, suite)
        tasks = held_out_tasks(source, config, suite)
        wide = len(tasks[0].params.get("classes", ())) >= config.out_of_scope_ways
        strangers = None
        if isinstance(source, HasOutOfScope) and wide and "inductive" in modes and config.out_of_scope_queries:
            rng = numpy_rng((*seed, 2))
            asked = min(config.out_of_scope_queries, source.num_out_of_scope)
            numbers = draw_strangers(source.num_out_of_scope, len(tasks), asked, rng=rng)
            strangers = Strangers(source, numbers)
        with one_part(index, of=len(config.suites)):
            scored = score_tasks(behaviour, source, tasks, modes, seed=(*seed, 1), strangers=strangers)
        suites[suite] = scored.scores
        if scored.rejection is not None:
            suites[out_of_scope(suite)] = scored.rejection
        notes += [f"{suite}: adaptation diverged {n} times in {step} steps" for step, n in scored.diverged.items()]
        episodes[suite] = pack_episodes(tasks)
    return Evaluation(suites=suites, notes=tuple(notes), record={"episodes": episodes})


class Scored(NamedTuple):
    """Scores of one suite."""

    scores: Scores
    """An accuracy in [0, 1], or of a regression the mean squared error, of each task."""
    rejection: Scores | None
    """Of out-of-scope requests by phi after the last step, where they were asked."""
    diverged: dict[int, int]
    """By number of steps, tasks (of all modes) whose answers were not finite; `score_output` says what they count."""


def held_out_tasks(source: EpisodeSource, config: FewShotEvaluationConfig, suite: str) -> list[Task]:
    """Those that learners are scored on, whatever other settings the config has.

    They follow from `episodes_seed`, `num_episodes` and `held_out`.
    """
    return draw_held_out(source, config, suite, config.num_episodes, rng=numpy_rng((*_suite_seed(config, suite), 0)))


def draw_held_out(
    source: EpisodeSource, config: FewShotEvaluationConfig, suite: str, num_tasks: int, *, rng: np.random.Generator
) -> list[Task]:
    """Of the classes that the config asks for. Raises UserError where the data have none, or not that suite."""
    if config.held_out == "test":
        return source.test_tasks(suite, num_tasks, rng=rng)
    if not isinstance(source, HasVal):
        raise UserError("--held-out val: these tasks have no classes to choose settings by; leave it out")
    return source.val_tasks(suite, num_tasks, rng=rng)


def held_out_task(source: EpisodeSource, config: FewShotEvaluationConfig, suite: str, index: int) -> TaskData:
    """One of them with the very examples that it is scored on. Raises UserError for an index that there is not."""
    tasks = held_out_tasks(source, config, suite)
    if not 0 <= index < len(tasks):
        raise UserError(f"task {index} of suite {suite!r}: it has {len(tasks)} tasks; give 0 to {len(tasks) - 1}")
    start = index - index % TASKS_AT_ONCE
    return _data(source, tasks, start, seed=(*_suite_seed(config, suite), 1))[index - start]


def _suite_seed(config: FewShotEvaluationConfig, suite: str) -> tuple[int, int]:
    return (config.episodes_seed, zlib.crc32(suite.encode()))  # not its place: a suite alone has the same episodes


def _data(source: EpisodeSource, tasks: Sequence[Task], start: int, *, seed: SeedKey) -> list[TaskData]:
    return source.data(tasks[start : start + TASKS_AT_ONCE], rng=numpy_rng((*seed, start)))


@dataclass(frozen=True)
class Strangers:
    """Out-of-scope queries of each task. They are made when they are asked: those of 600 tasks may take gigabytes."""

    source: HasOutOfScope
    numbers: Sequence[NDArray[np.int64]]

    def of(self, tasks: Iterable[int]) -> list[Tensor]:
        """(S, ...) of each task by its number."""
        return [self.source.out_of_scope(self.numbers[task]) for task in tasks]


def score_tasks(
    behaviour: FewShotBehaviour,
    source: EpisodeSource,
    tasks: Sequence[Task],
    modes: Sequence[Mode],
    *,
    seed: SeedKey,
    strangers: Strangers | None = None,
) -> Scored:
    """Scores of each task after every number of steps that the learner reports.

    `strangers` are told apart inductively after the last step.
    """
    inside: list[Tensor] = []
    outside: list[Tensor] = []
    scores: dict[Mode, dict[int, list[float]]] = {mode: {} for mode in modes}
    diverged: Counter[int] = Counter()
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        batch = _data(source, tasks, start, seed=seed)
        curve = behaviour.adapt_curve([data.supports[0] for data in batch])
        for steps, phis in curve.items():
            for mode in modes:
                outputs = behaviour.predict(phis, [data.query.x for data in batch], mode=mode)
                outputs = [of_classes(output, data) for output, data in zip(outputs, batch, strict=True)]
                if lost := sum(not torch.isfinite(output).all() for output in outputs):
                    diverged[steps] += lost
                scores[mode].setdefault(steps, []).extend(
                    score_output(output, data.query.y) for output, data in zip(outputs, batch, strict=True)
                )
                if strangers is not None and mode == "inductive" and steps == max(curve):
                    inside += outputs
                    asked = strangers.of(range(start, start + len(batch)))
                    outside += map(of_classes, behaviour.predict(phis, asked), batch)
        tell_progress((start + len(batch)) / len(tasks))
    steps = tuple(next(iter(scores.values())))
    measure = "mse" if source.spec.regression else "accuracy"
    values = np.array([[scores[mode][step] for step in steps] for mode in modes])[..., None]
    ids = tuple(task.id for task in tasks)
    rejection = None
    if strangers is not None:
        told = vars(tell_apart(inside, outside))
        rejection = Scores(
            values={name: np.asarray(per_task)[None, None, :, None] for name, per_task in told.items()},
            conditions=("inductive",),
            steps=steps[-1:],
            tasks=ids,
            interval="normal",
        )
    found = Scores(values={measure: values}, conditions=tuple(modes), steps=steps, tasks=ids, interval="normal")
    return Scored(found, rejection, dict(diverged))


def of_classes(output: Tensor, data: TaskData) -> Tensor:
    """Without the columns of a head that the task has no classes for."""
    y = data.supports[0].y
    return output if y.is_floating_point() else output[:, : count_ways(y)]


def score_output(output: Tensor, y: Tensor) -> float:
    """Accuracy, or squared error, of a task's answers.

    Where adaptation has diverged there is no answer: an accuracy of 0, an error that no mean can hide.
    """
    if not torch.isfinite(output).all():
        return DIVERGED_ERROR if y.is_floating_point() else 0.0
    return float(squared_error(output, y) if y.is_floating_point() else accuracy(output, y))


def pack_episodes(tasks: Sequence[Task]) -> dict[str, Any]:
    """Tasks of one size in few bytes: each parameter of all tasks as one deflated array in base 64.

    What is no array of numbers (names, classes of unequal size) stays as it is. `unpack_episodes` undoes it. What only
    training needs (the places of training classes) is not in held-out tasks.
    """
    packed = {}
    for name in tasks[0].params:
        values = [task.params[name] for task in tasks]
        try:
            column = np.asarray(values)
        except ValueError:  # lists of different lengths
            column = np.asarray([""])
        if column.dtype.kind not in "fiu":
            packed[name] = {"values": values}
            continue
        small = np.iinfo(np.int16)
        fits = bool(column.size == 0 or (column.min() >= small.min and column.max() <= small.max))
        kind = "<f8" if column.dtype.kind == "f" else "<i2" if fits else "<i8"
        data = zlib.compress(column.astype(kind).tobytes(), 9)
        packed[name] = {"dtype": kind, "shape": list(column.shape), "deflated": base64.b64encode(data).decode()}
    return packed


def unpack_episodes(packed: dict[str, Any]) -> list[dict[str, Any]]:
    """The params of each task, as they were evaluated."""
    columns = {
        name: entry["values"]
        if "values" in entry
        else np.frombuffer(zlib.decompress(base64.b64decode(entry["deflated"])), entry["dtype"])
        .reshape(entry["shape"])
        .tolist()
        for name, entry in packed.items()
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
