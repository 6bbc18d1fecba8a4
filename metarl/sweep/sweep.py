"""A sweep under way: which of its runs have ended, and the processes of those that run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from metarl.config import apply_overrides, config_to_dict
from metarl.errors import UserError
from metarl.files import inside, make_directories, remove_empty
from metarl.records.compact import Seed
from metarl.runs.directory import CONFIG
from metarl.runs.lock import Lock
from metarl.runs.log import say
from metarl.runs.memory import available
from metarl.runs.stop import StopSignal
from metarl.sweep.files import check_places
from metarl.sweep.forecast import forecast
from metarl.sweep.grid import SEED, Run
from metarl.sweep.plan import LOCK, Plan, Stored, check_same, read_stored, write_stored
from metarl.sweep.processes import Ended, RunProcess, Training, run_side_by_side
from metarl.sweep.results import read_done
from metarl.sweep.view import View


@dataclass(frozen=True)
class Launch:
    """How a run is started."""

    config: Any
    """Of the experiment, before a run's own settings."""
    command: Callable[[Run, Path, bool], list[str]]
    """The words of a process that trains a run into a directory; True: it goes on with what lies there."""
    jobs: int
    """At once."""
    start: Callable[[Sequence[str], Path], Training] = RunProcess
    """A run by its words and the file of its output."""
    check: Callable[[Seed], object] = lambda seed: None
    """Raises UserError where what is to be compared was not scored, before more is trained in vain."""
    free_bytes: Callable[[], int] = available
    """Memory for all runs at once; 0 where nobody can say."""


class Sweep:
    """A context manager: the directory is locked inside, and what still runs at its end is killed."""

    def __init__(self, out: Path, plan: Plan, launch: Launch, stop: StopSignal, *, resume: bool) -> None:
        """Raises UserError, and writes nothing, where the directory is in use or not this sweep's."""
        self.out, self.launch, self.stop = out, launch, stop
        self.done: dict[Run, Seed] = {}
        self.failed: dict[Run, str] = {}
        """Why, in a sentence."""
        self.running: dict[Run, Training] = {}
        self._is_forecast = False
        made: list[Path] = []
        try:
            made = make_directories(out)
            check_places(out)
            self._lock = Lock(inside(out, LOCK))
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror or error}; choose another --out") from error
        try:
            self.stored = _stored(out, plan, resume=resume)
            write_stored(out, self.stored)
        except BaseException:
            self._lock.release()
            remove_empty(made)
            raise
        stop.cleanup = self.kill

    def __enter__(self) -> Sweep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._lock.release()

    def kill(self) -> None:
        for process in list(self.running.values()):
            process.kill()

    def run(self, runs: Sequence[Run], view: View) -> None:
        """Those that have not ended before; until all have ended, or a signal came and all have saved."""
        todo = []
        for run in runs:
            if (seed := self.read(run)) is None:
                todo.append(run)
            else:
                self.launch.check(seed)
                self.done[run] = seed
        if todo and not self.stored.costs:  # the first of all alone: what it takes says what the others will
            self._run(todo[:1], view)
            todo = [run for run in todo[1:] if not self.stop.requested]
        if todo and self.stored.costs and not self._is_forecast:
            self._is_forecast = True
            self._say_forecast(left=len(todo))
        self._run(todo, view)

    def _run(self, runs: Sequence[Run], view: View) -> None:
        ended = run_side_by_side(
            runs,
            lambda run: self._start(run, view),
            jobs=self.launch.jobs,
            stop=self.stop,
            running=self.running,
            tick=lambda: view.show(done=self.done, running=self.running, failed=self.failed),
        )
        for one in ended:
            failure = one.failure or self._keep(one)
            if failure is not None:
                self.failed[one.run] = failure
            view.tell(one.run, seconds=one.cost.seconds, failure=failure, done=len(self.done))

    def _keep(self, ended: Ended) -> str | None:
        """The scores of a run that ended well; in a sentence why there are none."""
        if (seed := self.read(ended.run)) is None:
            return "it ended and left no scores under its own settings; look into its directory"
        self.done[ended.run] = seed
        self.stored = Stored(self.stored.plan, {**self.stored.costs, ended.run.name: ended.cost})
        write_stored(self.out, self.stored)
        self.launch.check(seed)
        return None

    def _start(self, run: Run, view: View) -> Training:
        place = inside(self.out, run.setting.name, run.folder)
        place.parent.mkdir(exist_ok=True)
        words = self.launch.command(run, place, inside(place, CONFIG).is_file())
        log = inside(self.out, run.setting.name, f"log_{run.folder}.txt")
        training = self.launch.start(words, log)
        view.begin(run, log)
        return training

    def read(self, run: Run) -> Seed | None:
        """Its scores, if it has ended under its own settings."""
        config = apply_overrides(self.launch.config, [*run.setting.values, (SEED, str(run.seed))])
        plan = self.stored.plan
        experiment = {"experiment": plan.experiment, "source": plan.sha256 and {"sha256": plan.sha256}}
        place = inside(self.out, run.setting.name, run.folder)
        return read_done(place, experiment=experiment, config=config_to_dict(config))

    def _say_forecast(self, *, left: int) -> None:
        costs = list(self.stored.costs.values())
        for line in forecast(costs, left=left, jobs=self.launch.jobs, free_bytes=self.launch.free_bytes()):
            say(line, sys.stderr if line.startswith("warning") else None)


def _stored(out: Path, plan: Plan, *, resume: bool) -> Stored:
    stored = read_stored(out)
    if stored is None:
        if not resume and any(path.name != LOCK for path in out.iterdir()):
            raise UserError(f"{out} holds other files and no sweep; choose another --out")
        return Stored(plan)
    if not resume:
        raise UserError(f"{out} already holds a sweep; give --resume to go on, or choose another --out")
    check_same(out, stored.plan, plan)
    return Stored(plan, stored.costs)
