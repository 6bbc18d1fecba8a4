"""Finished runs of a sequence of tasks, read for what they learned and forgot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from metarl.errors import UserError
from metarl.records.stored import read_seed
from metarl.runs.log import EVALUATED_AT
from metarl.scores.continual import Array, areas
from metarl.scores.rl import of_class
from metarl.scores.table import suites_from_json

CONDITION, MEASURE = "stochastic", "success_any"
"""What the paper scores: success at any step, of sampled actions."""
OF_TASK = of_class(CONDITION, "")
"""How the metrics of each task begin."""


class _Tasks(msgspec.Struct):
    steps_per_task: Annotated[int, msgspec.Meta(ge=1)]
    horizon_steps: Annotated[int, msgspec.Meta(ge=1)]
    reward_version: str


@dataclass(frozen=True)
class SequenceRun:
    """What a finished run scored on each task of its sequence while it was trained on one after another."""

    path: Path
    names: tuple[str, ...]
    """Of the tasks, in their order; that of a second visit ends in /2."""
    settings: dict[str, Any]
    """Of the tasks, that two runs must share to be compared."""
    times: Array
    """(E,) env steps behind each evaluation."""
    success: Array
    """(E, N)"""

    @property
    def steps_per_task(self) -> int:
        return self.settings["steps_per_task"]


def read_sequence(run: Path) -> SequenceRun:
    """Raises UserError for a run that did not end, is of no sequence, or was not evaluated where a task ends."""
    seed = read_seed(run)
    try:
        tasks = msgspec.convert(seed.stored["config"].get("tasks"), _Tasks)
    except msgspec.ValidationError as error:
        raise UserError(
            f"{run} is no run of a sequence of tasks ({error}); give one of cw10_sac or cw10_sac_replay"
        ) from error
    # null of a row, whoever wrote it, is read as NaN
    with_step = [row for row in seed.rows if math.isfinite(row.get(EVALUATED_AT, math.nan))]
    evaluated = [row for row in with_step if any(name.startswith(OF_TASK) for name in row)]
    names = tuple(name.removeprefix(OF_TASK) for name in (evaluated or [{}])[0] if name.startswith(OF_TASK))
    curve = {int(row[EVALUATED_AT]): [row.get(OF_TASK + name, np.nan) for name in names] for row in evaluated}
    policy = seed.evaluation["policies"].get("meta-trained")
    if policy is not None and names:
        curve[seed.evaluation["training_env_steps"]] = _at_the_end(run, policy, names)
    ends = [place * tasks.steps_per_task for place in range(len(names) + 1)]
    if missing := [end for end in ends if end not in curve]:
        raise UserError(
            f"{run} has no scores of its tasks after {missing[0]:,} env steps, where one begins or ends; train it with "
            "--log-classes and --eval-every-iterations"
        )
    times = sorted(time for time in curve if time <= ends[-1])
    success = np.array([curve[time] for time in times])
    return SequenceRun(run, names, msgspec.to_builtins(tasks), np.array(times, np.float64), success)


def _at_the_end(run: Path, policy: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """Success on each task. Raises UserError for an evaluation without one of them."""
    scores = suites_from_json(policy).get("")
    if scores is None or CONDITION not in scores.conditions or MEASURE not in scores.values:
        missing = list(names)
    else:
        missing = [name for name in names if name not in scores.strata]
    if scores is None or missing:
        raise UserError(
            f"{run} has no final scores of {missing[0]!r:.100}; evaluate it on each of its {len(names)} tasks, with "
            "--max-tasks so many or without it"
        )
    values, strata = scores.of(CONDITION, MEASURE)[-1], np.array(scores.strata)
    return [float(values[strata == name].mean()) for name in names]


def areas_alone(run: SequenceRun, references: Sequence[SequenceRun]) -> Array:
    """AUC_i^b of each of a run's tasks, the mean of the references that were trained on it alone, (N,).

    NaN for a task without one. Raises UserError for a reference of several tasks, or of another budget.
    """
    found: dict[str, list[float]] = {}
    for reference in references:
        if len(reference.names) != 1:
            raise UserError(
                f"{reference.path} has {len(reference.names)} tasks, and forward transfer is measured against one "
                "alone; give a run of --sequence custom --env-names TASK"
            )
        if reference.settings != run.settings:
            raise UserError(
                f"{reference.path} was trained with {reference.settings} and {run.path} with {run.settings}; train the "
                "first as the second"
            )
        of_one = areas(reference.times, reference.success, steps_per_task=reference.steps_per_task)
        found.setdefault(reference.names[0], []).append(float(of_one[0]))
    return np.array([float(np.mean(found.get(name.partition("/")[0], [np.nan]))) for name in run.names])
