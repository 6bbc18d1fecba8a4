"""The rollout worker pool: groups of jobs run whole inside worker processes, or in this one (`workers=0`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, Self

import torch

from metarl.config import WITHOUT_EFFECT
from metarl.errors import SettingError, UserError, WorkerError
from metarl.learner import Actor
from metarl.rollout.buffer import episodes_by_job
from metarl.rollout.jobs import RolloutJob, cut_groups
from metarl.rollout.lockstep import GroupRunner, NonFinite
from metarl.rollout.orders import CLOSED, Group, GroupResult, Waits
from metarl.rollout.process_runner import ProcessRunner
from metarl.rollout.ray_runner import RayRunner
from metarl.tasks import TaskDistribution
from metarl.types import Episodes
from metarl.validate import Bounds, Checked, Count, Positive

RunnerName = Literal["processes", "ray"]


@dataclass(frozen=True, kw_only=True)
class PoolConfig(Checked):
    """How episodes are collected."""

    workers: Annotated[int, Bounds(least=0, remedy="0 runs in this process")] = field(
        default=2, metadata={WITHOUT_EFFECT: True}
    )
    """Worker processes; 0 runs everything in this process. Results do not depend on it."""
    runner: RunnerName = field(default="processes", metadata={WITHOUT_EFFECT: True})
    """Where the workers run: processes of this machine, or Ray's, on any machine of its cluster (docs/scale.md)."""
    lanes_per_group: Annotated[int, Bounds(least=1, remedy="50 is a good value")] = 50
    """Episodes stepped in lockstep. Changes how batched products round, so results depend on it."""
    deadline_seconds: Positive = field(default=600.0, metadata={WITHOUT_EFFECT: True})
    """A worker that has not finished its group by then is taken for hung, killed and replaced. Its start-up does not
    count."""
    max_tries: Count = field(default=3, metadata={WITHOUT_EFFECT: True})
    """Tries at one group before the run stops with the last failure's traceback."""
    non_finite: NonFinite = "raise"
    """What a NaN in obs or reward does: stop the run, or leave the episode out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.runner == "ray" and self.workers == 0:
            raise SettingError("workers=0 runs in this process, and runner='ray' in others; give --workers 1 or more")


@dataclass
class PoolStats:
    """Totals since the pool was made."""

    env_steps: int = 0
    restarts: int = 0
    dropped_episodes: int = 0
    """Left out for a NaN in obs or reward (`non_finite="drop_episode"`)."""
    env_seconds: float = 0.0
    """Summed over workers, as are the next two."""
    policy_seconds: float = 0.0
    busy_seconds: float = 0.0
    collect_seconds: float = 0.0
    """Wall-clock time from the submission of jobs to their last episode."""
    wait_seconds: float = 0.0
    """Wall-clock time inside `Pending.wait`, which is what collecting costs the caller."""


class Runner(Protocol):
    """Where groups run: in this process or in others."""

    restarts: int

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        """What it returns waits for the groups, or runs them then."""
        ...

    def close(self) -> None: ...


class Pending:
    """Jobs that have been submitted."""

    def __init__(self, finish: Callable[[], list[Episodes]]) -> None:
        self._finish: Callable[[], list[Episodes]] | None = finish

    def wait(self) -> list[Episodes]:
        """The episodes of each job, in the order of the jobs; the same bytes whatever `workers` is. To be called once.

        Raises NonFiniteError for a NaN in obs or reward, an env's own UserError, and WorkerError after `max_tries`
        failures of a group or where the pool was closed.
        """
        if self._finish is None:
            raise UserError("wait() was called before on this submission, and gives its episodes once; keep them")
        finish, self._finish = self._finish, None
        return finish()


class RolloutPool:
    """Collects the episodes of jobs. Use it in a `with`, or call `close`."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self.spec, self.config = tasks.spec, config
        self.stats = PoolStats()
        self._pending: Pending | None = None
        if config.workers == 0:
            self._runner: Runner = InProcessRunner(tasks, config)
        else:
            make = RayRunner if config.runner == "ray" else ProcessRunner
            self._runner = make(tasks, config)

    def collect(self, jobs: Sequence[RolloutJob], actor: Actor) -> list[Episodes]:
        """`submit(jobs, actor).wait()`."""
        return self.submit(jobs, actor).wait()

    def submit(self, jobs: Sequence[RolloutJob], actor: Actor) -> Pending:
        """Let the workers run while the caller does something else; without workers the jobs run at `wait`.

        Neither the actor nor a phi may be changed in place before `wait`. Raises UserError for a second submission
        before that.
        """
        if self._pending is not None:
            raise UserError(
                f"{len(jobs)} jobs were submitted while others are pending, and a pool takes one submission at a time; "
                "call wait() on what submit returned before the next"
            )
        groups = [[jobs[i] for i in group] for group in cut_groups(jobs, lanes_per_group=self.config.lanes_per_group)]
        waits = self._runner.start(groups, actor)
        pending = self._pending = Pending(lambda: self._finish(pending, waits))
        return pending

    def _finish(self, pending: Pending, waits: Waits) -> list[Episodes]:
        started = time.perf_counter()
        try:
            results, seconds = waits()
        finally:
            if self._pending is pending:
                self._pending = None
            self.stats.restarts = self._runner.restarts
            self.stats.wait_seconds += time.perf_counter() - started
        episodes = [e for group_episodes, _ in results for e in group_episodes]
        for _, times in results:
            self.stats.env_seconds += times.env
            self.stats.policy_seconds += times.policy
            self.stats.busy_seconds += times.total
        self.stats.env_steps += sum(e.num_steps for e in episodes)
        self.stats.dropped_episodes += sum(int((~e.mask.any(-1)).sum()) for e in episodes)
        self.stats.collect_seconds += seconds
        return episodes

    def close(self) -> None:
        """End the workers. A submission that is pending is given up: its `wait` raises WorkerError."""
        self._runner.close()
        self._pending = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InProcessRunner:
    """The reference: the same groups, one after another, here."""

    restarts = 0

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self._runner = GroupRunner(tasks, non_finite=config.non_finite)
        self._times_closed = 0

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        closed_before = self._times_closed

        def run() -> tuple[list[GroupResult], float]:
            if self._times_closed > closed_before:
                raise WorkerError(CLOSED)
            started, threads = time.perf_counter(), torch.get_num_threads()
            torch.set_num_threads(1)  # as in a worker: a product split over threads may round differently
            try:
                return [self._run(group, actor) for group in groups], time.perf_counter() - started
            finally:
                torch.set_num_threads(threads)

        return run

    def _run(self, jobs: Group, actor: Actor) -> GroupResult:
        arrays, times = self._runner.run_anew(jobs, actor)
        return episodes_by_job(arrays, len(jobs), per_job=jobs[0].num_episodes), times

    def close(self) -> None:
        self._times_closed += 1
        self._runner.close()
