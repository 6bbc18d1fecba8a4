"""What the runs of a sweep scored, setting by setting: each run's means, and the settings compared over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.records.compact import Seed
from metarl.records.compare import POLICY, iqm_interval, probability_of_improvement
from metarl.records.finished import check_finished
from metarl.records.stored import read_seed, same_scores
from metarl.runs.directory import CONFIG
from metarl.runs.same_config import differences, experiment_key, flatten
from metarl.scores.stats import Interval
from metarl.scores.table import Scores, over_seeds
from metarl.sweep.grid import Run, Setting

LESS_IS_BETTER = ("mse", "false_acceptance_at_95")
AUTO = ("success_any", "return")
"""The measure that is compared where none is named: the first that any run has above 0, as `metarl compare` does."""
Done = Mapping[Run, Seed]


@dataclass(frozen=True)
class Compared:
    """One setting's scores on one suite, with one kind of action, after one number of steps."""

    setting: Setting
    seeds: int
    suite: str
    condition: str
    step: int
    mean: Interval
    iqm: Interval
    better: Interval | None
    """Probability of improvement over the first setting; None of that one itself."""


def read_done(run: Path, *, experiment: Mapping[str, Any], config: Mapping[str, Any]) -> Seed | None:
    """The scores of a run that ended under this very config; None where it has yet to be run, or to go on."""
    if not (run / CONFIG).is_file():
        return None
    try:
        seed = read_seed(run)
        check_finished(seed.evaluation, seed.stored, run)
    except UserError:
        return None
    before = {**experiment_key(seed.stored), **flatten(seed.stored["config"])}
    same = not differences(before, {**experiment_key(experiment), **flatten(config)})
    return seed if same and POLICY in seed.evaluation["policies"] else None


def measure_of(done: Done, wanted: str) -> str:
    """The measure to compare. Raises UserError for one that was not scored."""
    scores = [scores for seed in done.values() for scores in seed.suites(POLICY).values()]
    known = dict.fromkeys(measure for each in scores for measure in each.measures)
    if wanted == "auto":
        seen = [m for m in AUTO if m in known and (m == "return" or any(s.values[m].any() for s in scores))]
        return (seen or list(known))[0]
    if wanted not in known:
        raise UserError(f"the runs have no {wanted!r:.100}; give one of {', '.join(known)}")
    return wanted


def last_score(seed: Seed, measure: str, condition: str | None = None) -> float:
    """Mean over tasks after the last step, and over the suites that have the measure; None: the first kind of action.

    Raises UserError for a measure or condition that was not scored.
    """
    suites = [scores for scores in seed.suites(POLICY).values() if measure in scores.measures]
    if not suites:
        known = dict.fromkeys(m for scores in seed.suites(POLICY).values() for m in scores.measures)
        raise UserError(f"the runs have no {measure!r:.100}; give one of {', '.join(known)}")
    return float(np.mean([scores.of(condition or scores.conditions[0], measure)[-1].mean() for scores in suites]))


def compare(done: Done, measure: str) -> list[Compared]:
    """Every suite, condition and step of every setting. Raises UserError where runs hold other scores than the rest."""
    by_setting: dict[Setting, list[Seed]] = {}
    for run, seed in sorted(done.items(), key=lambda pair: pair[0].seed):
        by_setting.setdefault(run.setting, []).append(seed)
    rows = []
    with same_scores("this sweep"):
        suites = next(iter(done.values())).suites(POLICY)
        for suite, scores in suites.items():
            if measure in scores.measures:
                for condition in scores.conditions:
                    rows += _compare(by_setting, suite, condition, measure, scores)
    return rows


def _compare(
    by_setting: Mapping[Setting, Sequence[Seed]], suite: str, condition: str, measure: str, scores: Scores
) -> list[Compared]:
    values = {
        setting: np.array([seed.suites(POLICY)[suite].of(condition, measure) for seed in seeds])
        for setting, seeds in by_setting.items()
    }
    means = {
        setting: over_seeds([seed.suites(POLICY)[suite] for seed in seeds], condition, measure)
        for setting, seeds in by_setting.items()
    }
    strata = scores.strata or ("",) * len(scores.tasks)
    base = next(iter(values.values()))
    return [
        Compared(
            setting=setting,
            seeds=len(of_seeds),
            suite=suite,
            condition=condition,
            step=scores.steps[k],
            mean=means[setting][k],
            iqm=iqm_interval(of_seeds[:, k], strata),
            better=None if of_seeds is base else _better(of_seeds[:, k], base[:, k], strata, measure),
        )
        for k in range(len(scores.steps))
        for setting, of_seeds in values.items()
    ]


def _better(values: NDArray, base: NDArray, strata: Sequence[str], measure: str) -> Interval:
    sign = -1 if measure in LESS_IS_BETTER else 1
    return probability_of_improvement(sign * values, sign * base, strata)


def last_of(rows: Sequence[Compared]) -> list[Compared]:
    """Of the first suite, the first kind of action and the last step: a row for each setting."""
    first = rows[0]
    same = [row for row in rows if (row.suite, row.condition) == (first.suite, first.condition)]
    return [row for row in same if row.step == same[-1].step]
