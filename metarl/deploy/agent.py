"""A trained agent without its training: `metarl.load("zoo:skill_insert_peg")` or of a run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.deploy.session import Session
from metarl.errors import UserError
from metarl.learner import RLBehaviour
from metarl.runs.adapted import load_session
from metarl.runs.load import find_task, load_trained
from metarl.runs.trust import Trust
from metarl.seeding import SeedKey
from metarl.tasks import ConvertsSpaces, ShowsTask, TaskDistribution
from metarl.types import EnvSpec, Task
from metarl.zoo.entries import run_directory


@dataclass(frozen=True)
class Agent:
    """What acts and adapts; theta never changes, and any number of sessions may run at once."""

    behaviour: RLBehaviour
    tasks: TaskDistribution
    """That it was trained on."""

    def __repr__(self) -> str:
        return f"Agent({type(self.behaviour).__name__} on {self.tasks.name})"

    @property
    def spec(self) -> EnvSpec:
        return self.behaviour.spec

    def session(
        self,
        task: Task | str | int | None = None,
        *,
        sampled: bool | None = None,
        adapted: Path | str | None = None,
        rounds: int | None = None,
        seed: int | SeedKey = 0,
    ) -> Session:
        """One robot's life with one task, from the prior, or from what `metarl adapt` or `Session.save` left.

        `task`, a held-out task's number or id or its params as JSON, is for an agent that is shown it, whose
        observations it completes; all others find out. `sampled`: actions with the policy's noise, or its mean. Left
        out, an agent that adapts from whole episodes samples until the last round, one with a memory always, and one
        that does not adapt never. `rounds`: how often it may adapt, where it does so from whole episodes; left out, as
        often as in its training. PEARL's belief gains by more. Raises UserError, also for a task where none is shown.
        """
        if not isinstance(sampled, bool | np.bool_ | None):
            raise UserError(f"sampled={sampled!r} must be True, False or None; leave it out for what suits the agent")
        if not isinstance(seed, int | np.integer | tuple):
            raise UserError(f"seed={seed!r} must be a whole number, or a tuple of such; write e.g. seed=1")
        self._check_rounds(rounds)
        to_obs, to_action = self._conversions()
        session = Session(
            self.behaviour,
            sampled=sampled,
            rounds=rounds,
            seed=seed if isinstance(seed, tuple) else (int(seed),),
            shown=self._shown(task),
            to_obs=to_obs,
            to_action=to_action,
        )
        if adapted is not None:
            session.restore(load_session(Path(adapted)))
        return session

    def _check_rounds(self, rounds: int | None) -> None:
        if rounds is None:
            return
        if isinstance(rounds, bool) or not isinstance(rounds, int | np.integer) or rounds < 1:
            raise UserError(f"rounds={rounds!r} must be a whole number >= 1; leave it out for those of the training")
        if not self.behaviour.adaptation_rounds:
            raise UserError(f"rounds={rounds}: this agent does not adapt from whole episodes; leave it out")

    def _shown(self, task: Task | str | int | None) -> Sequence[float]:
        if task is None:
            return ()
        if not isinstance(task, Task | str | int):
            raise UserError(f"task={task!r:.60} must be a held-out task's number or id, or a Task; write e.g. task='3'")
        found = task if isinstance(task, Task) else find_task(self.tasks, str(task))
        shown = self.tasks.shown(found) if isinstance(self.tasks, ShowsTask) else ()
        if not len(shown):
            raise UserError(f"task={found.id!r}: this agent is shown no task and finds it out by acting; leave it out")
        return shown

    def _conversions(self) -> tuple[Callable[[Any], NDArray], Callable[[NDArray], Any]]:
        if isinstance(self.tasks, ConvertsSpaces):
            return self.tasks.conversions()
        return np.asarray, int if self.spec.discrete else _clipped


def _clipped(action: NDArray) -> NDArray:
    """As all environments that scale actions do to them."""
    return np.clip(action, -1.0, 1.0)


def load(run: Path | str, *, trust: bool = False, experiment: Path | str | None = None) -> Agent:
    """The agent of a run directory or of the zoo (`zoo:NAME`), for acting.

    `trust` and `experiment` are as for `metarl play`, for a run of your own experiment file. Raises UserError.
    """
    if not isinstance(run, str | os.PathLike):
        raise UserError(f"run={run!r:.60} must be a run directory or zoo:NAME; write e.g. load('zoo:ml1_reach_maml')")
    given = None if experiment is None else Path(experiment)
    trained = load_trained(run_directory(run), trust=Trust(trust, given))
    trained.experiment.close()
    return Agent(trained.experiment.learner.behaviour(), trained.experiment.tasks)
