"""Runs beside each other: interquartile means, intervals and the probability that one is better than another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import digest, packed_episodes
from metarl.files import inside
from metarl.records.compact import Seed
from metarl.records.finished import check_finished
from metarl.records.stored import SUFFIX, read_record, read_seed, same_scores, seeds_in
from metarl.runs.directory import CONFIG, check_is_directory
from metarl.runs.log import env_steps_of
from metarl.runs.same_config import differences, settings_of, tested_on
from metarl.scores.stats import Interval, iqm, over_seeds_and_tasks
from metarl.scores.table import Scores

POLICY = "meta-trained"
SAMPLES = 2000


@dataclass(frozen=True)
class Group:
    """Runs of any kind that differ in nothing but their seed."""

    label: str
    paths: tuple[Path, ...]
    """Run directories, one a seed."""
    seeds: tuple[Seed, ...]

    @property
    def rows(self) -> tuple[Sequence[Mapping[str, Any]], ...]:
        """Of metrics of training, of each seed."""
        return tuple(seed.rows for seed in self.seeds)


@dataclass(frozen=True)
class Entry:
    """The seeds of one meta-RL experiment with one config, and what they scored."""

    label: str
    paths: tuple[Path, ...]
    """Run directories, one a seed."""
    env_steps: tuple[int, ...]
    task_ids: tuple[str, ...]
    strata: tuple[str, ...]
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


def read_groups(paths: Sequence[Path]) -> list[Group]:
    """Run directories, records or folders of stored seeds; runs that differ in nothing but their seed are one group.

    Raises UserError for a run that was not evaluated at its end, was given twice, or was evaluated on other tasks than
    the rest.
    """
    found: dict[str, list[tuple[Path, Seed]]] = {}
    for path, seed in (run for given in paths for run in _runs_in(given)):
        check_finished(seed.evaluation, seed.stored, path)
        if POLICY not in seed.evaluation["policies"]:
            raise UserError(f"{path} has no scores of a {POLICY} policy; evaluate the run again")
        found.setdefault(json.dumps(settings_of(seed.stored), sort_keys=True), []).append((path, seed))
    groups = _with_distinct_labels([_group(runs) for runs in found.values()])
    _check_same_tasks(groups)
    return groups


def read_entries(paths: Sequence[Path]) -> list[Entry]:
    """As `read_groups`. Raises UserError also for what is no meta-RL run."""
    entries = []
    for group in read_groups(paths):
        for path, seed in zip(group.paths, group.seeds, strict=True):
            if "" not in seed.suites(POLICY):
                raise UserError(f"{path} is no meta-RL run; `metarl fewshot table` compares the supervised ones")
        with same_scores(", ".join(map(str, group.paths))):
            entries.append(_entry(group))
    return entries


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


def training_curve(
    rows_of_seeds: Sequence[Sequence[Mapping[str, Any]]], metric: str
) -> tuple[list[float], list[float]] | None:
    """(env steps, mean over seeds) of a metric of training, at the iterations that all seeds logged it at, or None."""
    by_seed = [
        {row["iteration"]: (env_steps_of(row, metric), row[metric]) for row in rows if metric in row}
        for rows in rows_of_seeds
    ]
    common = sorted(set.intersection(*map(set, by_seed)))
    if not common:
        return None
    mean = np.mean([[rows[iteration] for iteration in common] for rows in by_seed], axis=0)
    return mean[:, 0].tolist(), mean[:, 1].tolist()


def _runs_in(given: Path) -> list[tuple[Path, Seed]]:
    """Each seed with the name that it has in messages and, where there are several of one, in the table."""
    is_record = given.suffix == SUFFIX
    record = given if is_record or not given.name else given.with_name(given.name + SUFFIX)
    if not record.is_file():
        check_is_directory(given)
    if not is_record and inside(given, CONFIG).is_file():
        return [(given, read_seed(given))]
    if record.is_file():
        return [(record.with_suffix("") / f"seed{seed.number}", seed) for seed in read_record(record).seeds]
    seeds = seeds_in(given, CONFIG)
    if not seeds:
        raise UserError(f"{given} holds neither a run nor a record; give run directories, or experiments/results/NAME")
    return [(seed, read_seed(seed)) for seed in seeds]


def _group(runs: Sequence[tuple[Path, Seed]]) -> Group:
    path, first = runs[0]
    numbers = [seed.number for _, seed in runs]
    if len(set(numbers)) < len(numbers):
        twice = ", ".join(str(run) for run, _ in runs)
        raise UserError(f"{twice} are of one experiment and of the seeds {sorted(numbers)}; give each seed once")
    stored = path.name.startswith("seed")
    return Group(
        label=path.parent.name if stored else Path(first.stored["experiment"]).stem,
        paths=tuple(run for run, _ in runs),
        seeds=tuple(seed for _, seed in runs),
    )


def _entry(group: Group) -> Entry:
    scores = tuple(seed.suites(POLICY)[""] for seed in group.seeds)
    return Entry(
        label=group.label,
        paths=group.paths,
        env_steps=tuple(seed.evaluation["training_env_steps"] for seed in group.seeds),
        task_ids=scores[0].tasks,
        strata=scores[0].strata or ("",) * len(scores[0].tasks),
        scores=scores,
        rows=group.rows,
    )


def _check_same_tasks(groups: Sequence[Group]) -> None:
    first, *others = groups
    for group in others:
        tasks, theirs = (_tasks_of(g) for g in (first, group))
        suite = next((suite for suite in tasks if suite in theirs), None)
        if suite is None:
            raise UserError(
                f"{first.label} was evaluated on {_suites(tasks)} and {group.label} on {_suites(theirs)}; compare runs "
                "on the same held-out tasks"
            )
        if tasks[suite] != theirs[suite]:
            told = [
                f"{g.label} was evaluated on {len(of_suite)} tasks ({of_suite[0]}, ...)"
                for g, of_suite in ((first, tasks[suite]), (group, theirs[suite]))
            ]
            raise UserError(f"{' and '.join(told)}; compare runs on the same held-out tasks")
        if found := differences(tested_on(first.seeds[0].stored), tested_on(group.seeds[0].stored)):
            raise UserError(
                f"the held-out tasks of {first.label} and {group.label} have the same names and are not the same: "
                f"{'; '.join(found)}; compare runs on the same held-out tasks"
            )
        if any(_episodes_of(first).get(suite, key) != key for suite, key in _episodes_of(group).items()):
            raise UserError(
                f"{first.label} and {group.label} were scored on other episodes of the same data; compare runs with "
                "the same --episodes-seed and --num-episodes"
            )


def _suites(names: Iterable[str]) -> str:
    """As a reader knows them: the tasks of meta-RL have no name."""
    return ", ".join(name or "episodes of reinforcement learning" for name in names)


def _tasks_of(group: Group) -> dict[str, tuple[str, ...]]:
    return {suite: scores.tasks for suite, scores in group.seeds[0].suites(POLICY).items()}


def _episodes_of(group: Group) -> dict[str, str]:
    """A digest of the held-out episodes of each few-shot suite."""
    packed = packed_episodes(group.seeds[0].evaluation["policies"][POLICY])
    return {suite: digest(episodes) for suite, episodes in packed.items()}


def _with_distinct_labels(groups: Sequence[Group]) -> list[Group]:
    labels = [group.label for group in groups]
    return [group if labels.count(group.label) == 1 else replace(group, label=str(group.paths[0])) for group in groups]
