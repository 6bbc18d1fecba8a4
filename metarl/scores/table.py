"""One type for all outcomes: what a policy scored on a set of tasks, in RL and few-shot learning alike.

C  conditions: sampled and mean actions, or whose statistics normalise a query
K  numbers of adaptation steps        B  tasks        N  samples of one task (test episodes)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.scores.stats import (
    Interval,
    normal_interval,
    over_seeds_and_tasks,
    stratified_bootstrap,
    wider,
    wilson,
)
from metarl.types import Metrics

Kind = Literal["bootstrap", "normal"]
"""Of intervals: bootstrap over tasks within strata (RL), or 1.96 s / sqrt(n), as few-shot papers give it."""
FEW_TASKS = 2
"""Families of so many tasks, such as forward and backward, are trained on and tested on; so are classes of one goal."""
NOT_A_SCORE = ("steps_to_success",)
"""Kept beside the scores: 0 where there was no success, so that its mean says nothing."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The one table of scores: B tasks, N samples of each, after K numbers of steps, under C conditions."""

    values: Mapping[str, NDArray[np.float64]]
    """By measure (return, success_any, accuracy, mse, ...), (C, K, B, N)."""
    conditions: tuple[str, ...]
    steps: tuple[int, ...]
    tasks: tuple[str, ...]
    strata: tuple[str, ...] = ()
    """Of each task; empty where there is one class alone."""
    interval: Kind = "bootstrap"
    samples_per_task: int = 0
    """Behind each mean where `values` are means over samples; 0: `values` are the samples."""

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(measure for measure in self.values if measure not in NOT_A_SCORE)

    def per_task(self, measure: str) -> NDArray[np.float64]:
        """(C, K, B) means over a task's samples."""
        return self.values[measure].mean(-1)

    def of(self, condition: str, measure: str) -> NDArray[np.float64]:
        """(K, B). Raises UserError for a condition that was not scored."""
        return self._samples(condition, measure).mean(-1)

    def _samples(self, condition: str, measure: str) -> NDArray[np.float64]:
        """(K, B, N)"""
        if condition not in self.conditions:
            raise UserError(f"there are no scores with {condition}; take one of {', '.join(self.conditions)}")
        return self.values[measure][self.conditions.index(condition)]

    def curve(self, condition: str, measure: str) -> list[Interval]:
        """Mean and 95 % interval after each number of steps."""
        return [self._interval(samples, measure) for samples in self._samples(condition, measure)]

    @property
    def tasks_are_few(self) -> bool:
        """Whether no class has tasks enough to say something of others: then intervals are of other episodes."""
        of_class = Counter(self.strata) if self.strata else {"all": len(self.tasks)}
        return max(of_class.values(), default=0) <= FEW_TASKS

    def _interval(self, samples: NDArray[np.float64], measure: str) -> Interval:
        """Of samples (B, N). Few tasks are no sample of tasks: then their episodes are resampled, each task's own.

        Of two tasks whose means alone were kept, as in old records, it spans both: their episodes are not there.
        """
        per_task = samples.mean(-1)
        if self.interval == "normal":
            return normal_interval(per_task)
        if self.tasks_are_few and samples.shape[1] > 1:
            tasks = np.repeat(np.arange(len(samples)), samples.shape[1]).astype(str).tolist()
            interval = stratified_bootstrap(samples.ravel(), tasks)
        else:
            interval = stratified_bootstrap(per_task, self.strata or None)
        if measure.startswith("success"):
            # a bootstrap cannot leave what was seen: of nothing but successes it has the width 0
            trials = len(per_task) * (self.samples_per_task or samples.shape[1])
            return wider(interval, wilson(float(per_task.mean()), trials))
        return interval

    def of_tasks(self, kept: Sequence[int]) -> Scores:
        """Those of some tasks alone."""
        return Scores(
            values={measure: values[:, :, kept] for measure, values in self.values.items()},
            conditions=self.conditions,
            steps=self.steps,
            tasks=tuple(self.tasks[i] for i in kept),
            strata=tuple(self.strata[i] for i in kept) if self.strata else (),
            interval=self.interval,
            samples_per_task=self.samples_per_task,
        )

    def condensed(self) -> Scores:
        """With each task's mean in place of its samples, where tasks are the independent units of every interval."""
        if self.tasks_are_few:
            return self
        return Scores(
            values={measure: values.mean(-1, keepdims=True) for measure, values in self.values.items()},
            conditions=self.conditions,
            steps=self.steps,
            tasks=self.tasks,
            strata=self.strata,
            interval=self.interval,
            samples_per_task=self.samples_per_task or next(iter(self.values.values())).shape[-1],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "conditions": list(self.conditions),
            "steps": list(self.steps),
            "tasks": list(self.tasks),
            "strata": list(self.strata),
            "interval": self.interval,
            "samples_per_task": self.samples_per_task,
            "values": {measure: np.round(values, 6).tolist() for measure, values in self.values.items()},
            "summary": {
                measure: {
                    condition: [p._asdict() for p in self.curve(condition, measure)] for condition in self.conditions
                }
                for measure in self.measures
            },
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one policy, by suite: a set of tasks, such as 5w1s; meta-RL's held-out tasks are the suite ''."""

    suites: Mapping[str, Scores]
    notes: tuple[str, ...] = ()
    """Sentences that belong below a table."""
    logged: Metrics = field(default_factory=dict)
    """Numbers for the log that are no score of tasks."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What a record keeps besides."""

    @property
    def scores(self) -> Scores:
        """Of the one suite of meta-RL."""
        return self.suites[""]

    def curve(self, condition: str, measure: str) -> list[Interval]:
        """Of the one suite of meta-RL."""
        return self.scores.curve(condition, measure)

    def metrics(self) -> Metrics:
        """`eval/<suite>/<condition>/<measure>/<steps>` of the mean, for the log; without the suite where it is ''."""
        means = {
            "/".join(filter(None, ("eval", suite, condition, measure, str(step)))): float(value)
            for suite, scores in self.suites.items()
            for measure in scores.measures
            for condition, rows in zip(scores.conditions, scores.per_task(measure).mean(-1), strict=True)
            for step, value in zip(scores.steps, rows, strict=True)
        }
        return means | self.logged

    def to_json(self) -> dict[str, Any]:
        suites = {suite: scores.to_json() for suite, scores in self.suites.items()}
        return {"suites": suites, "notes": list(self.notes), **self.record}


def without_trained(scores: Scores, trained: Sequence[str]) -> dict[str, Scores]:
    """The tasks of classes never trained on, as a suite of its own; empty where that is all of them or none."""
    kept = [i for i, stratum in enumerate(scores.strata) if stratum not in trained]
    if len(kept) in (0, len(scores.strata)):
        return {}
    return {f"without {', '.join(trained)}": scores.of_tasks(kept)}


def over_seeds(seeds: Sequence[Scores], condition: str, measure: str) -> list[Interval]:
    """Mean over seeds and tasks after each number of steps: of one seed its own interval, else one over both.

    A share keeps within 0 and 1, and its interval is no narrower than that of all its episodes together.
    """
    if len(seeds) == 1:
        return seeds[0].curve(condition, measure)
    first = seeds[0]
    intervals = []
    for values in np.array([scores.of(condition, measure) for scores in seeds]).swapaxes(0, 1):
        interval = over_seeds_and_tasks(values, first.strata or None)
        if measure.startswith("success"):
            trials = values.size * (first.samples_per_task or first.values[measure].shape[-1])
            interval = wider(interval, wilson(interval.mean, trials))
        if measure.startswith(("success", "accuracy")):
            interval = Interval(interval.mean, max(interval.low, 0.0), min(interval.high, 1.0))
        intervals.append(interval)
    return intervals


def suites_from_json(policy: Mapping[str, Any]) -> dict[str, Scores]:
    """Of a policy in an evaluation.json, as `Evaluation.to_json` or an older version wrote it."""
    if "outcomes" in policy:
        scores = _from_outcomes(policy)
        return {"": scores, **without_trained(scores, policy.get("also_without", ()))}
    suites = {}
    for suite, entry in policy["suites"].items():
        if "values" in entry:
            suites[suite] = _from_json(entry)
        else:
            suites |= _from_few_shot(suite, entry, policy["measure"])
    return suites


def _from_json(entry: Mapping[str, Any]) -> Scores:
    return Scores(
        values={measure: np.asarray(values, np.float64) for measure, values in entry["values"].items()},
        conditions=tuple(entry["conditions"]),
        steps=tuple(entry["steps"]),
        tasks=tuple(entry["tasks"]),
        strata=tuple(entry["strata"]),
        interval=entry["interval"],
        samples_per_task=entry["samples_per_task"],
    )


def _from_outcomes(policy: Mapping[str, Any]) -> Scores:
    """Of version 0.1's meta-RL: {mode: {measure: rounds of tasks of episodes}}."""
    outcomes = policy["outcomes"]
    measures = list(next(iter(outcomes.values())))
    values = {m: np.array([by_measure[m] for by_measure in outcomes.values()], np.float64) for m in measures}
    return Scores(
        values=values,
        conditions=tuple(outcomes),
        steps=tuple(range(values[measures[0]].shape[1])),
        tasks=tuple(policy["tasks"]),
        strata=tuple(policy.get("strata") or ()),
    )


def _from_few_shot(suite: str, entry: Mapping[str, Any], measure: str) -> dict[str, Scores]:
    """Of version 0.1's few-shot learning: {mode: {steps: episodes}}, and measures of rejection."""
    scores = entry["scores"]
    steps = tuple(int(step) for step in next(iter(scores.values())))
    values = np.array([[by_steps[str(step)] for step in steps] for by_steps in scores.values()], np.float64)
    tasks = tuple(f"test{i}" for i in range(values.shape[-1]))
    common: dict[str, Any] = {"tasks": tasks, "interval": "normal"}
    found = {suite: Scores(values={measure: values[..., None]}, conditions=tuple(scores), steps=steps, **common)}
    if "out_of_scope" in entry:
        asked = {m: np.array(v, np.float64)[None, None, :, None] for m, v in entry["out_of_scope"]["scores"].items()}
        found[out_of_scope(suite)] = Scores(values=asked, conditions=("inductive",), steps=steps[-1:], **common)
    return found


def out_of_scope(suite: str) -> str:
    """The name of a suite's scores on requests of no class."""
    return f"{suite} out of scope"
