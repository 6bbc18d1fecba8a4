"""A trained agent read back from its run directory, and one task to try it on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from metarl.config import apply_overrides, config_from_dict, config_to_dict, fields_named
from metarl.errors import UserError, nearest
from metarl.experiment import ChecksData, RLExperiment
from metarl.files import inside
from metarl.runs.checkpoint import load_latest
from metarl.runs.directory import CHECKPOINTS, read_run_config
from metarl.runs.published import PUBLISHED, ActsOnly, restored
from metarl.runs.trust import NO_TRUST, Trust, check_stored_config, goes_with, trusted_experiment
from metarl.tasks import MakesTask, TaskDistribution, check_like
from metarl.types import Episodes, Task
from metarl.whole import Count


class _TrainerState(msgspec.Struct):
    """Of a checkpoint."""

    iteration: Count
    env_steps: Count
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    learner: dict[str, Any] = {}
    metrics_rows: int | None = None
    data: dict[str, Any] = {}
    behind: dict[str, Any] | None = None
    behaviour: dict[str, Any] | None = None
    """In place of the learner, where it was published: see `metarl.runs.published`."""


@dataclass(frozen=True)
class Trained:
    """Close `experiment` after use."""

    experiment: RLExperiment
    config: Any
    checkpoint: Path


class Run(NamedTuple):
    """Of any kind of experiment; close `experiment` after use."""

    name: str
    experiment: Any
    config: Any
    state: dict[str, Any]
    """The trainer's, as the checkpoint holds it."""
    checkpoint: Path


def open_run(run_dir: Path, overrides: Sequence[tuple[str, str]] = (), *, trust: Trust = NO_TRUST) -> Run:
    """The experiment with the newest checkpoint's learner.

    Raises UserError, also for what the run says and the user does not trust it with.
    """
    stored = read_run_config(run_dir)
    module = trusted_experiment(run_dir, stored, trust)
    with goes_with(run_dir, stored, trust):
        trained = config_from_dict(type(module.config()), stored.config)
    config = apply_overrides(trained, overrides)
    check_stored_config(run_dir, module, trained, named=fields_named(trained, overrides), trust=trust)
    found = load_latest(inside(run_dir, CHECKPOINTS))
    if found is None:
        raise UserError(f"{run_dir} holds no checkpoint yet; train it first, or go on with --resume")
    state, path = found
    experiment = module.build(config)
    try:
        _check_data(experiment, config, module, trained, check_state(state, path))
        with goes_with(run_dir, stored, trust):
            load_learner(experiment, state, path)
    except BaseException:
        experiment.close()
        raise
    return Run(stored.experiment, experiment, config, state, path)


def check_state(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """A checkpoint's, as it is. Raises UserError where it is not a trainer's."""
    try:
        msgspec.convert(state, _TrainerState)
    except ValueError as error:  # msgspec's own, or text that is no Unicode
        raise _no_state(path, error) from error
    return state


def load_learner(experiment: Any, state: dict[str, Any], path: Path) -> None:
    """Weights to act with take the learner's place. Raises UserError for a state that is not of this experiment's
    learner, whoever wrote it."""
    try:
        if PUBLISHED in state:
            experiment.learner = ActsOnly(restored(experiment.learner.behaviour(), state[PUBLISHED]))
        else:
            experiment.learner.load_state_dict(state["learner"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise _no_state(path, error) from error


def _no_state(path: Path, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{path} holds no state of this experiment ({reason:.200}); use another checkpoint")


def _check_data(experiment: Any, config: Any, module: Any, trained: Any, state: dict[str, Any]) -> None:
    """Raises UserError where the data are not those of the run, by the same settings, or hold out what it learnt."""
    if not isinstance(experiment, ChecksData):
        return
    others = config_to_dict(config).get("data") != config_to_dict(trained).get("data")
    data = state.get("data")
    if data is None:  # of a checkpoint from before they kept it
        data = module.build(trained).data_state() if others else {}
    experiment.check_data(data, may_differ=others)


def load_trained(run_dir: Path, overrides: Sequence[tuple[str, str]] = (), *, trust: Trust = NO_TRUST) -> Trained:
    """`open_run` for a run that has episodes. Raises UserError for another."""
    run = open_run(run_dir, overrides, trust=trust)
    if not isinstance(run.experiment, RLExperiment):
        run.experiment.close()
        raise UserError(
            f"{run_dir} is a run of {run.name}, which has no episodes; give a run of reinforcement learning"
        )
    return Trained(run.experiment, run.config, run.checkpoint)


def find_task(tasks: TaskDistribution, text: str) -> Task:
    """A held-out task by its place (`3`) or its id, or any task by its params as JSON (`{"velocity": 1.5}`).

    Raises UserError.
    """
    if text.lstrip().startswith("{"):
        try:
            params = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"task {text!r} is no JSON: {error}; write e.g. '{{\"velocity\": 1.5}}'") from error
        return _task_of(tasks, params)
    held_out = tasks.meta_test()
    if text.isdigit():
        if int(text) >= len(held_out):
            raise UserError(
                f"task {text}: {tasks.name} has {len(held_out)} held-out tasks; give 0 to {len(held_out) - 1}"
            )
        return held_out[int(text)]
    by_id = {task.id: task for task in held_out}
    if text not in by_id:
        raise UserError(
            f"task {text!r} is no held-out task of {tasks.name}{nearest(text, by_id)}; give a number from 0 to "
            f"{len(held_out) - 1}, such an id, or params as JSON, like {json.dumps(dict(held_out[0].params))[:150]}"
        )
    return by_id[text]


def _task_of(tasks: TaskDistribution, params: Mapping[str, Any]) -> Task:
    example = tasks.meta_test()[0].params
    try:
        if isinstance(tasks, MakesTask):
            return tasks.task(params)
        check_like(params, example)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"task {json.dumps(params)} is no task of {tasks.name} ({error}); its params are like "
            f"{json.dumps(dict(example))[:150]}"
        ) from error
    return Task(json.dumps(params), params)


def actions_of(episodes: Episodes, index: int) -> np.ndarray:
    """What was done in one episode, up to its end, (T, A) or (T,)."""
    return episodes.actions[index, : int(episodes.mask[index].sum())].numpy()
