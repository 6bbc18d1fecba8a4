"""The rollout worker pool: groups of jobs run whole inside worker processes, or in this one (`num_workers=0`).

A worker that dies, raises or passes its deadline is replaced and its group is run again with the same seeds,
so that the episodes do not show it. Nothing outlives the parent: a worker exits when its parent does, and
shared memory is unlinked as soon as both sides hold it.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Protocol, Self

import torch

from metarl.config import WITHOUT_EFFECT
from metarl.errors import WorkerError
from metarl.learner import Actor
from metarl.rollout.buffer import episodes_by_job, new_arrays
from metarl.rollout.jobs import RolloutJob, cut_groups
from metarl.rollout.lockstep import GroupRunner, GroupTimes, NonFinite
from metarl.rollout.worker import Failed, Finished, Worker
from metarl.tasks import TaskDistribution
from metarl.types import Episodes
from metarl.validate import check_choices, check_range

Group = list[RolloutJob]
GroupResult = tuple[list[Episodes], GroupTimes]


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """How episodes are collected."""

    workers: int = field(default=2, metadata={WITHOUT_EFFECT: True})
    """Worker processes; 0 runs everything in this process. Results do not depend on it."""
    lanes_per_group: int = 50
    """Episodes stepped in lockstep. Changes how batched products round, so results depend on it."""
    deadline_seconds: float = field(default=600.0, metadata={WITHOUT_EFFECT: True})
    """A worker that has not finished its group by then is taken for hung, killed and replaced."""
    max_tries: int = field(default=3, metadata={WITHOUT_EFFECT: True})
    """Tries at one group before the run stops with the last failure's traceback."""
    non_finite: NonFinite = "raise"
    """What a NaN in obs or reward does: stop the run, or leave the episode out."""

    def __post_init__(self) -> None:
        check_range(self, "workers", low=0, remedy="0 runs in this process")
        check_range(self, "lanes_per_group", low=1, remedy="50 is a good value")
        check_range(self, "max_tries", low=1)
        check_range(self, "deadline_seconds", low=0, low_open=True)
        check_choices(self)


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
    """Wall-clock time inside `collect`."""


class Runner(Protocol):
    """Where groups run: in this process or in others."""

    def run(self, groups: Sequence[Group], actor: Actor) -> list[GroupResult]: ...

    def close(self) -> None: ...


class RolloutPool:
    """Collects the episodes of jobs. Use it in a `with`, or call `close`."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self.spec, self.config = tasks.spec, config
        self.stats = PoolStats()
        self._runner: Runner = (
            InProcessRunner(tasks, config) if config.workers == 0 else ProcessRunner(tasks, config, self.stats)
        )

    def collect(self, jobs: Sequence[RolloutJob], actor: Actor) -> list[Episodes]:
        """The episodes of each job, in the order of the jobs; the same bytes whatever `workers` is.

        Raises NonFiniteError for a NaN in obs or reward, an env's own UserError, and WorkerError after `max_tries`
        failures of a group.
        """
        started = time.perf_counter()
        groups = [[jobs[i] for i in group] for group in cut_groups(jobs, lanes_per_group=self.config.lanes_per_group)]
        results = self._runner.run(groups, actor)
        episodes = [e for group_episodes, _ in results for e in group_episodes]
        for _, times in results:
            self.stats.env_seconds += times.env
            self.stats.policy_seconds += times.policy
            self.stats.busy_seconds += times.total
        self.stats.env_steps += sum(e.num_steps for e in episodes)
        self.stats.dropped_episodes += sum(int((~e.mask.any(-1)).sum()) for e in episodes)
        self.stats.collect_seconds += time.perf_counter() - started
        return episodes

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InProcessRunner:
    """The reference: the same groups, one after another, here."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self._spec = tasks.spec
        self._runner = GroupRunner(tasks, non_finite=config.non_finite)

    def run(self, groups: Sequence[Group], actor: Actor) -> list[GroupResult]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in a worker: a product split over threads may round differently
        try:
            return [self._run(group, actor) for group in groups]
        finally:
            torch.set_num_threads(threads)

    def _run(self, jobs: Group, actor: Actor) -> GroupResult:
        per_job = jobs[0].num_episodes
        arrays = new_arrays(self._spec, per_job * len(jobs))
        times = self._runner.run(jobs, actor, arrays)
        return episodes_by_job(arrays, len(jobs), per_job=per_job), times

    def close(self) -> None:
        self._runner.close()


def _hand_over(worker: Worker, jobs: Group, actor: Actor, deadline: float) -> None:
    """Send a group, or kill a worker that does not take it in time: a pipe holds no more than its buffer."""
    faults: list[Exception] = []

    def send() -> None:
        try:
            worker.send(jobs, actor)
        except ConnectionError:
            pass  # it is gone: its sentinel tells
        except Exception as error:
            faults.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        worker.stop()  # which ends the write
        thread.join()
    if faults:
        raise faults[0]


class ProcessRunner:
    """Deals groups to worker processes as they come free, and replaces those that fail."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig, stats: PoolStats) -> None:
        self._tasks, self._config, self._stats = tasks, config, stats
        self._workers: list[Worker] = []

    def run(self, groups: Sequence[Group], actor: Actor) -> list[GroupResult]:
        try:
            return self._run(groups, actor)
        except BaseException:
            self.close()  # workers in the middle of a group would answer a question nobody asks any more
            raise

    def _run(self, groups: Sequence[Group], actor: Actor) -> list[GroupResult]:
        results: dict[int, GroupResult] = {}
        tries = [0] * len(groups)
        pending = deque(range(len(groups)))
        running: dict[Worker, tuple[int, float]] = {}  # worker -> (group, deadline)
        while pending or running:
            while pending and len(running) < self._config.workers:
                worker = self._idle_worker(running)
                index, deadline = pending.popleft(), time.monotonic() + self._config.deadline_seconds
                running[worker] = (index, deadline)
                _hand_over(worker, groups[index], actor, deadline)
            for worker in self._wait(running):
                index, _ = running[worker]
                answer = self._answer(worker, running[worker][1])
                if answer is None:
                    continue
                del running[worker]
                if isinstance(answer, Finished):
                    results[index] = worker.episodes(groups[index]), answer.times
                    continue
                tries[index] += 1
                self._on_failure(answer, groups[index], tries[index])
                self._replace(worker)
                pending.appendleft(index)
        return [results[index] for index in range(len(groups))]

    def _idle_worker(self, running: dict[Worker, tuple[int, float]]) -> Worker:
        for worker in self._workers:
            if worker not in running:
                return worker
        self._workers.append(Worker(self._tasks, non_finite=self._config.non_finite))
        return self._workers[-1]

    def _wait(self, running: dict[Worker, tuple[int, float]]) -> list[Worker]:
        """The running workers that answered, died or are past their deadline; at least one of them."""
        while True:
            soonest = min(deadline for _, deadline in running.values())
            handles = [handle for worker in running for handle in (worker.connection, worker.sentinel)]
            ready = set(wait(handles, timeout=max(0.0, soonest - time.monotonic())))
            now = time.monotonic()
            found = [
                worker
                for worker, (_, deadline) in running.items()
                if worker.connection in ready or worker.sentinel in ready or now >= deadline
            ]
            if found:
                return found

    def _answer(self, worker: Worker, deadline: float) -> Finished | Failed | None:
        """What became of a worker's group, or None if it is still at it."""
        try:
            if worker.connection.poll():
                return worker.receive()
        except (EOFError, ConnectionError):
            pass
        else:
            if time.monotonic() < deadline and worker.is_alive:
                return None
        if time.monotonic() >= deadline:
            return Failed(
                f"worker {worker.pid} hung: no answer within deadline_seconds={self._config.deadline_seconds}"
            )
        starting = (
            ""
            if worker.has_answered
            else (" before it was ready; a script that makes a pool must do so under `if __name__ == '__main__':`")
        )
        return Failed(f"worker {worker.pid} died{starting}")

    def _on_failure(self, failed: Failed, jobs: Group, tries: int) -> None:
        if failed.for_people is not None:
            raise failed.for_people
        where = "; ".join(f"task {job.task.id!r}, seed {job.seed}" for job in jobs)
        if tries >= self._config.max_tries:
            raise WorkerError(
                f"a rollout group failed {tries} times (max_tries={self._config.max_tries}).\n"
                f"{failed.traceback.rstrip()}\nThe group held: {where}"
            )
        warnings.warn(
            f"a rollout group failed (try {tries} of {self._config.max_tries}) and is run again with the same seeds: "
            f"{failed.traceback.rstrip()}\nThe group held: {where}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _replace(self, worker: Worker) -> None:
        worker.kill()
        self._workers.remove(worker)
        self._stats.restarts += 1

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []
