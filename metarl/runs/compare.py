"""Runs beside each other: interquartile means, intervals and the probability that one is better than another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.files import inside
from metarl.runs.compact import Seed
from metarl.runs.directory import CONFIG
from metarl.runs.finished import check_finished
from metarl.runs.log import env_steps_of
from metarl.runs.same_config import differences, settings_of, tested_on
from metarl.runs.stored import SUFFIX, read_record, read_seed, same_scores, seeds_in
from metarl.scores.stats import Interval, iqm, over_seeds_and_tasks
from metarl.scores.table import Scores

POLICY = "meta-trained"
SAMPLES = 2000


@dataclass(frozen=True)
class Entry:
    """The seeds of one experiment with one config."""

    label: str
    paths: tuple[Path, ...]
    """Run directories, one a seed."""
    env_steps: tuple[int, ...]
    task_ids: tuple[str, ...]
    strata: tuple[str, ...]
    tested_on: dict[str, Any]
    """Settings of the held-out tasks."""
    scores: tuple[Scores, ...]
    """Of each seed."""
    rows: tuple[Sequence[Mapping[str, Any]], ...]
    """Of metrics of training, of each seed."""

    def values(self, condition: str, measure: str) -> NDArray[np.float64]:
        """(seeds, steps, tasks): means over a task's test episodes. Raises UserError for what was not scored."""
        if condition not in self.scores[0].conditions:
            known = ", ".join(self.scores[0].conditions)
            raise UserError(f"{self.label} was not evaluated with {condition} actions; compare its {known}")
        return np.array([scores.of(condition, measure) for scores in self.scores])


def read_entries(paths: Sequence[Path]) -> list[Entry]:
    """Run directories, or folders of stored seeds, as entries; runs that differ in nothing but their seed are one.

    Raises UserError for a run that was not evaluated, is no meta-RL run, was given twice, or was evaluated on other
    tasks than the rest.
    """
    groups: dict[str, list[tuple[Path, Seed]]] = {}
    for path, seed in (run for given in paths for run in _runs_in(given)):
        check_finished(seed.evaluation, seed.stored, path)
        if POLICY not in seed.evaluation["policies"] or "" not in seed.suites(POLICY):
            raise UserError(f"{path} is no meta-RL run; `metarl fewshot table` compares the supervised ones")
        key = json.dumps(settings_of(seed.stored), sort_keys=True)
        groups.setdefault(key, []).append((path, seed))
    entries = []
    for runs in groups.values():
        with same_scores(", ".join(str(path) for path, _ in runs)):
            entries.append(_entry(runs))
    _check_same_tasks(entries)
    return _with_distinct_labels(entries)


def iqm_interval(values: NDArray, strata: Sequence[str], *, seed: int = 0) -> Interval:
    """Interquartile mean of (seeds, tasks) with a 95 % bootstrap interval (Agarwal et al. 2021).

    Seeds are resampled, and tasks within each stratum: with one seed the interval is over tasks alone.
    """
    return _interval(iqm(values), [iqm(v) for (v,) in _resampled([values], strata, seed=seed)])


def mean_interval(values: NDArray, strata: Sequence[str], *, level: float = 0.95, seed: int = 0) -> Interval:
    """Of the mean: of several seeds over seeds and tasks, of one a bootstrap over tasks."""
    if len(values) > 1:
        return over_seeds_and_tasks(values, strata, level=level)
    means = [float(v.mean()) for (v,) in _resampled([values], strata, seed=seed)]
    return _interval(float(values.mean()), means, level=level)


def probability_of_improvement(x: NDArray, y: NDArray, strata: Sequence[str], *, seed: int = 0) -> Interval:
    """P(x > y) + P(x = y) / 2 on a task, averaged over tasks, x and y (seeds, tasks) (Agarwal et al. 2021, eq. 2)."""
    samples = [_probability(a, b) for a, b in _resampled([x, y], strata, seed=seed)]
    return _interval(_probability(x, y), samples)


def _probability(x: NDArray, y: NDArray) -> float:
    difference = x[:, None, :] - y[None, :, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _resampled(arrays: Sequence[NDArray], strata: Sequence[str], *, seed: int) -> Iterator[list[NDArray]]:
    """Each array with seeds of its own drawn anew, and the same tasks in all."""
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = np.unique(strata, return_inverse=True)[1]
    groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    for _ in range(SAMPLES):
        tasks = np.concatenate([group[rng.integers(len(group), size=len(group))] for group in groups])
        yield [array[rng.integers(len(array), size=len(array))][:, tasks] for array in arrays]


def _interval(point: float, samples: Sequence[float], *, level: float = 0.95) -> Interval:
    outside = 100 * (1 - level) / 2
    low, high = np.percentile(samples, (outside, 100 - outside))
    return Interval(point, float(low), float(high))


def training_curve(entry: Entry, metric: str) -> tuple[list[float], list[float]] | None:
    """(env steps, mean over seeds) of a metric of training, at the iterations that all seeds logged it at, or None."""
    by_seed = [
        {row["iteration"]: (env_steps_of(row, metric), row[metric]) for row in rows if metric in row}
        for rows in entry.rows
    ]
    common = sorted(set.intersection(*map(set, by_seed)))
    if not common:
        return None
    mean = np.mean([[rows[iteration] for iteration in common] for rows in by_seed], axis=0)
    return mean[:, 0].tolist(), mean[:, 1].tolist()


def _runs_in(given: Path) -> list[tuple[Path, Seed]]:
    """Each seed with the name that it has in messages and, where there are several of one, in the table."""
    is_record = given.suffix == SUFFIX
    if not is_record and inside(given, CONFIG).is_file():
        return [(given, read_seed(given))]
    record = given if is_record else given.with_name(given.name + SUFFIX)
    if record.is_file():
        return [(record.with_suffix("") / f"seed{seed.number}", seed) for seed in read_record(record).seeds]
    seeds = seeds_in(given, CONFIG)
    if not seeds:
        raise UserError(f"{given} holds neither a run nor a record; give run directories, or experiments/results/NAME")
    return [(seed, read_seed(seed)) for seed in seeds]


def _entry(runs: Sequence[tuple[Path, Seed]]) -> Entry:
    path, first = runs[0]
    numbers = [seed.number for _, seed in runs]
    if len(set(numbers)) < len(numbers):
        twice = ", ".join(str(run) for run, _ in runs)
        raise UserError(f"{twice} are of one experiment and of the seeds {sorted(numbers)}; give each seed once")
    scores = tuple(seed.suites(POLICY)[""] for _, seed in runs)
    stored = path.name.startswith("seed")
    return Entry(
        label=path.parent.name if stored else Path(first.stored["experiment"]).stem,
        paths=tuple(run for run, _ in runs),
        env_steps=tuple(seed.evaluation["training_env_steps"] for _, seed in runs),
        task_ids=scores[0].tasks,
        strata=scores[0].strata or ("",) * len(scores[0].tasks),
        tested_on=tested_on(first.stored),
        scores=scores,
        rows=tuple(seed.rows for _, seed in runs),
    )


def _check_same_tasks(entries: Sequence[Entry]) -> None:
    first = entries[0]
    for entry in entries:
        if entry.task_ids != first.task_ids:
            told = [
                f"{e.label} was evaluated on {len(e.task_ids)} tasks ({e.task_ids[0]}, ...)" for e in (first, entry)
            ]
            raise UserError(f"{' and '.join(told)}; compare runs on the same held-out tasks")
        if found := differences(first.tested_on, entry.tested_on):
            raise UserError(
                f"the held-out tasks of {first.label} and {entry.label} have the same names and are not the same: "
                f"{'; '.join(found)}; compare runs on the same held-out tasks"
            )


def _with_distinct_labels(entries: Sequence[Entry]) -> list[Entry]:
    labels = [entry.label for entry in entries]
    return [
        entry if labels.count(entry.label) == 1 else Entry(**{**vars(entry), "label": str(entry.paths[0])})
        for entry in entries
    ]
