"""Groups of jobs run whole inside worker processes, dealt by a thread of their own as workers come free.

A worker that dies, raises or passes its deadline is replaced and its group is run again with the same seeds, so that
the episodes do not show it. A group is charged with a try only if it had begun: a worker that was lost while it started
or stood idle is replaced, and that is all. Nothing outlives the parent: a worker dies when its parent does.

The thread starts and ends all workers, and lives until `close`: on Linux a worker's life hangs on the thread that
started it (PR_SET_PDEATHSIG, prctl(2)).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue

from metarl.errors import WorkerError
from metarl.learner import Actor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lockstep import GroupTimes, NonFinite
from metarl.rollout.worker import Began, Failed, Finished, Ready, Worker
from metarl.tasks import TaskDistribution
from metarl.types import Episodes

Group = list[RolloutJob]
GroupResult = tuple[list[Episodes], GroupTimes]
Waits = Callable[[], tuple[list[GroupResult], float]]
"""Waits for groups that were started: their results, in order, and the seconds that they took in all."""

CLOSED = "the pool was closed before the episodes of a submission were there; wait for them before closing it"

START_SECONDS = 600.0
"""A worker that is not ready by then is taken for hung. Imports alone take 10 s and more on a busy machine."""
CLOSE_SECONDS = 2.0
"""What idle workers are given to close their environments."""


class _Cancelled(Exception):
    """The caller no longer waits for the order."""


class _Order:
    """Groups to run, and what becomes of them: texts of warnings, at last results and seconds, or what was raised."""

    def __init__(self, groups: Sequence[Group], actor: Actor) -> None:
        self.groups, self.actor = groups, actor
        self.outcomes: SimpleQueue[str | tuple[list[GroupResult], float] | BaseException] = SimpleQueue()
        self.began_at = time.monotonic()
        self.is_cancelled = False


class _Running:
    """The group that a worker has been handed."""

    def __init__(self, index: int, deadline: float) -> None:
        self.index, self.deadline = index, deadline


class ProcessRunner:
    """`start` hands over groups; what it returns waits for them. One order at a time."""

    def __init__(
        self,
        tasks: TaskDistribution,
        *,
        workers: int,
        deadline_seconds: float,
        max_tries: int,
        non_finite: NonFinite,
    ) -> None:
        self._tasks, self._num_workers = tasks, workers
        self._non_finite: NonFinite = non_finite
        self._deadline_seconds, self._max_tries = deadline_seconds, max_tries
        self.restarts = 0
        self._workers: list[Worker] = []
        self._thread: threading.Thread | None = None
        self._order: _Order | None = None
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._wake_up: tuple[Connection, Connection] | None = None

    # ---- in the caller's thread

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        """Begin to run the groups; the function returned waits for them, and raises what made them fail, after which
        the runner can be used again.
        """
        if self._thread is None:
            self._wake_up = Pipe(duplex=False)
            self._thread = threading.Thread(target=self._serve, name="metarl rollouts", daemon=True)
            self._thread.start()
        order = self._order = _Order(groups, actor)
        self._orders.put(order)
        return lambda: self._wait_for(order)

    def _wait_for(self, order: _Order) -> tuple[list[GroupResult], float]:
        try:
            while isinstance(outcome := order.outcomes.get(), str):
                warnings.warn(outcome, RuntimeWarning, stacklevel=6)  # who called collect
        except BaseException:  # Ctrl-C, or a warning that is an error: nobody will ask for the rest
            self._cancel(order)
            raise
        finally:
            self._order = None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _cancel(self, order: _Order) -> None:
        order.is_cancelled = True
        self._wake()

    def _wake(self) -> None:
        if self._wake_up is not None:
            self._wake_up[1].send_bytes(b"!")

    def close(self) -> None:
        """Workers close their environments and end; those in the middle of a group are killed. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._orders.put(None)
        if self._order is not None:
            self._cancel(self._order)
        thread.join()
        for end in self._wake_up or ():
            end.close()
        self._wake_up = None

    # ---- in the thread of its own

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            results = None
            try:
                results = self._run(order)
                order.outcomes.put((results, time.monotonic() - order.began_at))
            except BaseException as error:
                self._end_workers(idle=[])  # one in the middle of a group would answer what nobody asks any more
                order.outcomes.put(WorkerError(CLOSED) if isinstance(error, _Cancelled) else error)
            order = results = None  # they are the caller's: here they would stay until the next order
        self._end_workers(idle=[worker for worker in self._workers if worker.is_ready])

    def _run(self, order: _Order) -> list[GroupResult]:
        groups = order.groups
        results: dict[int, GroupResult] = {}
        tries, lost = [0] * len(groups), Counter[bool]()
        waiting = deque(range(len(groups)))
        running: dict[Worker, _Running] = {}
        self._replace_dead(self._workers)
        while len(results) < len(groups):
            self._replace_dead([worker for worker in self._workers if worker.is_ready and worker not in running])
            while len(self._workers) < min(self._num_workers, len(waiting) + len(running)):
                self._workers.append(Worker(self._tasks, non_finite=self._non_finite))
            for worker in self._workers:
                if worker.is_ready and worker not in running and waiting:
                    index = waiting.popleft()
                    running[worker] = _Running(index, time.monotonic() + self._deadline_seconds)
                    worker.hand_over(groups[index], order.actor, on_fault=self._wake)
            for worker in self._wait(running):
                now = running.get(worker)
                answer = self._answer(worker, now)
                if isinstance(answer, Began):
                    lost.clear()
                elif isinstance(answer, Finished):
                    assert now is not None
                    results[now.index] = worker.episodes(groups[now.index]), answer.times
                    del running[worker]
                elif isinstance(answer, Failed):
                    begun = worker.has_begun
                    if now is not None:
                        del running[worker]
                        waiting.appendleft(now.index)
                    if now is not None and begun:
                        tries[now.index] += 1
                        self._on_failure(order, answer, groups[now.index], tries[now.index])
                    else:
                        self._on_lost(order, answer, worker, lost)
                    self._replace(worker)
            if order.is_cancelled:
                raise _Cancelled
        return [results[index] for index in range(len(groups))]

    def _replace_dead(self, idle: Sequence[Worker]) -> None:
        for worker in [worker for worker in idle if not worker.is_alive]:
            self._replace(worker)

    def _wait(self, running: dict[Worker, _Running]) -> list[Worker]:
        """Those that start or run and have answered, died or passed their limit; none after a call to `_wake`."""
        assert self._wake_up is not None
        woken, busy = self._wake_up[0], [w for w in self._workers if w in running or not w.is_ready]
        soonest = min(self._limit(worker, running.get(worker)) for worker in busy)
        handles = [handle for worker in busy for handle in (worker.connection, worker.sentinel)]
        ready = set(wait([woken, *handles], timeout=max(0.0, soonest - time.monotonic())))
        while woken.poll():
            woken.recv_bytes()
        for worker in running:
            if worker.fault is not None:
                raise worker.fault
        now = time.monotonic()
        return [
            worker
            for worker in busy
            if worker.connection in ready or worker.sentinel in ready or now >= self._limit(worker, running.get(worker))
        ]

    def _limit(self, worker: Worker, now: _Running | None) -> float:
        return worker.started_at + START_SECONDS if now is None else now.deadline

    def _answer(self, worker: Worker, now: _Running | None) -> Ready | Began | Finished | Failed | None:
        """What a worker has to say, or what became of it; None if it is still at it."""
        try:
            if worker.connection.poll():
                return worker.receive()
        except (EOFError, OSError):
            pass
        else:
            if time.monotonic() < self._limit(worker, now) and worker.is_alive:
                return None
        if time.monotonic() < self._limit(worker, now):
            hint = "; a script that makes a pool must do so under `if __name__ == '__main__':`"
            told = f"worker {worker.pid} died" + ("" if worker.is_ready else f" before it was ready{hint}")
            return Failed(told, died=True)
        if now is None:
            return Failed(f"worker {worker.pid} hung: not ready within {START_SECONDS:g} s of its start")
        return Failed(f"worker {worker.pid} hung: no answer within deadline_seconds={self._deadline_seconds}")

    def _on_failure(self, order: _Order, failed: Failed, jobs: Group, tries: int) -> None:
        if failed.for_people is not None:
            raise failed.for_people
        told = f"{failed.traceback.rstrip()}\nThe group held: {_names(jobs)}"
        if tries >= self._max_tries:
            raise WorkerError(f"a rollout group failed {tries} times (max_tries={self._max_tries}).\n{told}")
        order.outcomes.put(
            f"a rollout group failed (try {tries} of {self._max_tries}) and is run again with the same seeds: {told}"
        )

    def _on_lost(self, order: _Order, failed: Failed, worker: Worker, lost: Counter[bool]) -> None:
        """No group's fault, but it cannot go on for ever: `lost` counts workers in a row of which none began a group,
        those that died while they stood idle apart from those that did not start.
        """
        was_idle = failed.died and (worker.is_ready or worker.started_at < order.began_at)
        lost[was_idle] += 1
        # all of them may have been killed while idle
        if lost[was_idle] >= self._max_tries + (self._num_workers if was_idle else 0):
            raise WorkerError(
                f"{lost[was_idle]} workers in a row were lost before they had begun a group "
                f"(max_tries={self._max_tries}).\n{failed.traceback.rstrip()}"
            )
        if not was_idle:
            order.outcomes.put(f"a worker was lost before it had begun a group and is replaced: {failed.traceback}")

    def _replace(self, worker: Worker) -> None:
        worker.kill()
        self._workers.remove(worker)
        self.restarts += 1

    def _end_workers(self, *, idle: Sequence[Worker]) -> None:
        for worker in idle:
            worker.ask_to_close()
        end, left = time.monotonic() + CLOSE_SECONDS, {worker.sentinel for worker in idle}
        while left and (seconds := end - time.monotonic()) > 0:
            left -= set(wait(left, timeout=seconds))
        for worker in self._workers:
            worker.kill()
        self._workers = []


def _names(jobs: Group, *, most: int = 3) -> str:
    """The first few of a group's jobs, and how many there are besides."""
    named = "; ".join(f"task {job.task.id!r}, seed {job.seed}" for job in jobs[:most])
    return named if len(jobs) <= most else f"{named}; and {len(jobs) - most} more"
