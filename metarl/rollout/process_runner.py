"""Groups of jobs run whole inside worker processes, dealt by a thread of their own as workers come free.

A worker that dies, raises or passes its deadline is replaced and its group is run again with the same seeds, so that
the episodes do not show it. A group is charged with a try only if it had begun: a worker that was lost while it started
or stood idle is replaced, and that is all. Nothing outlives the parent: a worker dies when its parent does.

The thread starts and ends all workers, and lives until `close`: on Linux a worker's life hangs on the thread that
started it (PR_SET_PDEATHSIG, prctl(2)).
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from metarl.learner import Actor
from metarl.rollout.orders import (
    CLOSE_SECONDS,
    START_SECONDS,
    Cancelled,
    Group,
    GroupResult,
    Order,
    OrderThread,
    Waits,
    check_lost,
)
from metarl.rollout.worker import Began, Failed, Finished, Ready, TooShort, Worker
from metarl.tasks import TaskDistribution

if TYPE_CHECKING:
    from metarl.rollout.pool import PoolConfig


class _Running:
    """The group that a worker has been handed."""

    def __init__(self, index: int, deadline: float) -> None:
        self.index, self.deadline = index, deadline


class ProcessRunner:
    """`start` hands over groups; what it returns waits for them. One order at a time."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self._tasks, self._config = tasks, config
        self.restarts = 0
        self._workers: list[Worker] = []
        self._wake_up: tuple[Connection, Connection] | None = None
        self._orders = OrderThread(self._run, self._end, wake=self._wake)

    # ---- in the caller's thread

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        """As `OrderThread.start`."""
        if self._wake_up is None:
            self._wake_up = Pipe(duplex=False)
        return self._orders.start(groups, actor)

    def _wake(self) -> None:
        if self._wake_up is not None:
            self._wake_up[1].send_bytes(b"!")

    def close(self) -> None:
        """As `OrderThread.close`."""
        self._orders.close()
        for end in self._wake_up or ():
            end.close()
        self._wake_up = None

    # ---- in the thread of its own

    def _run(self, order: Order) -> list[GroupResult]:
        groups, max_tries = order.groups, self._config.max_tries
        results: dict[int, GroupResult] = {}
        tries, lost = [0] * len(groups), Counter[bool]()
        waiting = deque(range(len(groups)))
        running: dict[Worker, _Running] = {}
        self._replace_dead(order, self._workers)
        while len(results) < len(groups):
            self._replace_dead(order, [w for w in self._workers if w.is_ready and w not in running])
            self._deal(order, waiting, running)
            for worker in self._wait(running):
                now = running.get(worker)
                answer = self._answer(worker, now)
                if isinstance(answer, Began):
                    lost.clear()
                elif isinstance(answer, Finished):
                    assert now is not None
                    results[now.index] = worker.episodes(groups[now.index]), answer.times
                    del running[worker]
                elif isinstance(answer, TooShort):
                    worker.grow()
                    waiting.appendleft(running.pop(worker).index)
                elif isinstance(answer, Failed):
                    begun = worker.has_begun
                    if now is not None:
                        del running[worker]
                        waiting.appendleft(now.index)
                    if now is not None and begun:
                        tries[now.index] += 1
                        order.tell_failure(answer, groups[now.index], tries=tries[now.index], max_tries=max_tries)
                    else:
                        self._on_lost(order, answer, worker, lost)
                    self._replace(worker)
            if order.is_cancelled:
                raise Cancelled
        return [results[index] for index in range(len(groups))]

    def _deal(self, order: Order, waiting: deque[int], running: dict[Worker, _Running]) -> None:
        """Start the workers that are needed, and hand a group to each that is free."""
        while len(self._workers) < min(self._config.workers, len(waiting) + len(running)):
            self._workers.append(Worker(self._tasks, non_finite=self._config.non_finite))
        for worker in self._workers:
            if worker.is_ready and worker not in running and waiting:
                index = waiting.popleft()
                running[worker] = _Running(index, time.monotonic() + self._config.deadline_seconds)
                worker.hand_over(order.groups[index], order.actor, on_fault=self._wake)

    def _replace_dead(self, order: Order, idle: Sequence[Worker]) -> None:
        dead = [worker for worker in idle if not worker.is_alive]
        if dead:
            order.tell_lost(dead[0].death, of=self._tasks.name)
        for worker in dead:
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

    def _answer(self, worker: Worker, now: _Running | None) -> Ready | Began | Finished | TooShort | Failed | None:
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
            told = worker.death + ("" if worker.is_ready else f" before it was ready{hint}")
            return Failed(told, died=True)
        if now is None:
            return Failed(f"worker {worker.pid} hung: not ready within {START_SECONDS:g} s of its start")
        return Failed(f"worker {worker.pid} hung: no answer within deadline_seconds={self._config.deadline_seconds}")

    def _on_lost(self, order: Order, failed: Failed, worker: Worker, lost: Counter[bool]) -> None:
        """No group's fault, but it cannot go on for ever: `lost` counts workers in a row of which none began a group,
        those that died while they stood idle apart from those that did not start.
        """
        was_idle = failed.died and (worker.is_ready or worker.started_at < order.began_at)
        lost[was_idle] += 1
        # all of them may have been killed while idle
        spare = self._config.workers if was_idle else 0
        check_lost(failed, lost[was_idle], "workers", max_tries=self._config.max_tries, spare=spare)
        order.tell_lost(failed.traceback, of=self._tasks.name)

    def _replace(self, worker: Worker) -> None:
        _end_all([worker])
        self._workers.remove(worker)
        self.restarts += 1

    def _end(self) -> None:
        _end_all(self._workers)
        self._workers = []


def _end_all(workers: Sequence[Worker]) -> None:
    """Those that do not close their environments in time, being stopped or in C code, are killed."""
    for worker in workers:
        worker.ask_to_end()
    end, left = time.monotonic() + CLOSE_SECONDS, {worker.sentinel for worker in workers}
    while left and (seconds := end - time.monotonic()) > 0:
        left -= set(wait(left, timeout=seconds))
    for worker in workers:
        worker.kill()
