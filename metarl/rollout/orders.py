"""Groups to run, handed to a thread that deals them out to workers; and what becomes of those that fail."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from metarl.errors import WorkerError, WorkerWarning
from metarl.learner import Actor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lockstep import GroupTimes
from metarl.rollout.worker import Failed
from metarl.types import Episodes

Group = list[RolloutJob]
GroupResult = tuple[list[Episodes], GroupTimes]
Waits = Callable[[], tuple[list[GroupResult], float]]
"""Waits for groups that were started: their results, in order, and the seconds that they took in all."""

START_SECONDS = 600.0
"""A worker that is not ready by then is taken for hung. Imports alone take 10 s and more on a busy machine."""
CLOSE_SECONDS = 2.0
"""What workers are given to close their environments."""
CLOSED = "the pool was closed before the episodes of a submission were there; wait for them before closing it"


class Cancelled(Exception):
    """The caller no longer waits for the order."""


class Order:
    """Groups to run, and what becomes of them: texts of warnings, at last results and seconds, or what was raised."""

    def __init__(self, groups: Sequence[Group], actor: Actor) -> None:
        self.groups, self.actor = groups, actor
        self.outcomes: SimpleQueue[str | tuple[list[GroupResult], float] | BaseException] = SimpleQueue()
        self.began_at = time.monotonic()
        self.is_cancelled = self._has_told_lost = False

    def tell_lost(self, why: str, *, of: str) -> None:
        """A worker that had not begun a group is replaced; said once an order, since many may be lost at one blow."""
        if not self._has_told_lost:
            self._has_told_lost = True
            self.outcomes.put(f"a worker of {of} was lost between two groups and is replaced: {why}")

    def tell_failure(self, failed: Failed, jobs: Group, *, tries: int, max_tries: int) -> None:
        """A group failed in so many tries; the first time is said. Raises what it says to people, or WorkerError at the
        last try."""
        if failed.for_people is not None:
            raise failed.for_people
        between = "; " if failed.died else "\n"  # one line, where there is no traceback
        told = f"{failed.traceback.rstrip()}{between}The group held: {_names(jobs)}"
        if tries >= max_tries:
            before = f"{failed.fault}; " if failed.fault else ""
            raise WorkerError(f"{before}a rollout group failed {tries} times (max_tries={max_tries}).\n{told}")
        if tries == 1:
            self.outcomes.put(
                f"a rollout group failed (try 1 of {max_tries}) and is run again with the same seeds: "
                f"{failed.fault or told}"
            )


class OrderThread:
    """`start` hands over groups; what it returns waits for them. One order at a time."""

    def __init__(
        self,
        run: Callable[[Order], list[GroupResult]],
        end_workers: Callable[[], None],
        *,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """All are called in the thread but `wake`, which makes `run` look whether its order was cancelled."""
        self._run, self._end_workers, self._wake = run, end_workers, wake
        self._thread: threading.Thread | None = None
        self._order: Order | None = None
        self._orders: SimpleQueue[Order | None] = SimpleQueue()

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        """Begin to run the groups; the function returned waits for them, and raises what made them fail, after which
        the runner can be used again.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="metarl rollouts", daemon=True)
            self._thread.start()
        order = self._order = Order(groups, actor)
        self._orders.put(order)
        return lambda: self._wait_for(order)

    def _wait_for(self, order: Order) -> tuple[list[GroupResult], float]:
        try:
            while isinstance(outcome := order.outcomes.get(), str):
                warnings.warn(outcome, WorkerWarning, stacklevel=6)  # who called collect
        except BaseException:  # Ctrl-C, or a warning that is an error: nobody will ask for the rest
            self._cancel(order)
            raise
        finally:
            self._order = None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _cancel(self, order: Order) -> None:
        order.is_cancelled = True
        self._wake()

    def close(self) -> None:
        """Workers close their environments and end, also in the middle of a group. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._orders.put(None)
        if self._order is not None:
            self._cancel(self._order)
        thread.join()

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            results = None
            try:
                results = self._run(order)
                order.outcomes.put((results, time.monotonic() - order.began_at))
            except BaseException as error:
                self._end_workers()  # one in the middle of a group would answer what nobody asks any more
                order.outcomes.put(WorkerError(CLOSED) if isinstance(error, Cancelled) else error)
            order = results = None  # they are the caller's: here they would stay until the next order
        self._end_workers()


def check_lost(failed: Failed, lost: int, who: str, *, max_tries: int, spare: int) -> None:
    """Raises WorkerError where so many workers (`who`) in a row were lost before they had begun a group: it is no
    group's fault, but it cannot go on for ever. `spare`: how many may have been lost at one blow.
    """
    if lost >= max_tries + spare:
        raise WorkerError(
            f"{lost} {who} in a row were lost before they had begun a group (max_tries={max_tries}).\n"
            f"{failed.traceback.rstrip()}"
        )


def _names(jobs: Group, *, most: int = 3) -> str:
    """The first few of a group's jobs, and how many there are besides."""
    named = "; ".join(f"task {job.task.id!r}, seed {job.seed}" for job in jobs[:most])
    return named if len(jobs) <= most else f"{named}; and {len(jobs) - most} more"
