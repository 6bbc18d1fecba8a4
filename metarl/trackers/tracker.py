"""What a tracker is to a run, and the guard that keeps one that fails or hangs from stopping it."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metarl.runs.log import say
from metarl.text import short

MOST_WAITING = 10_000
"""Calls that a slow tracker has not come to; later ones are left out, or a run without an end would fill the memory."""


@dataclass(frozen=True)
class About:
    """The run that is told of."""

    name: str
    directory: Path
    settings: Mapping[str, Any]
    """By dotted name."""


class Tracker(Protocol):
    """All calls come from one thread; any of them may raise."""

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        """Numbers of the theta after so many env steps, or iterations where there are none; all are finite."""
        ...

    def picture(self, name: str, path: Path) -> None:
        """A .png, at the end of a run."""
        ...

    def film(self, name: str, path: Path) -> None:
        """A .gif, at the end of a run."""
        ...

    def close(self) -> None: ...


Open = Callable[[About], Tracker]


class GuardedTracker:
    """A tracker in a thread of its own. What it raises is said once, and then it is told nothing more."""

    def __init__(self, name: str, open_it: Open, about: About) -> None:
        self.name = name
        self._calls: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue(MOST_WAITING)
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(open_it, about), name=f"track {name}", daemon=True)
        self._thread.start()

    def tell(self, call: Callable[[Tracker], None]) -> None:
        """Returns at once."""
        if self._failed.is_set():
            return
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._give_up("it is too slow")

    def close(self, *, seconds: float) -> None:
        """Wait for what was told, so long at most."""
        if self._failed.is_set():
            return
        try:
            self._calls.put(None, timeout=seconds)
        except queue.Full:
            pass
        self._thread.join(seconds)
        if self._thread.is_alive() and not self._failed.is_set():
            self._give_up(f"it did not end within {seconds:.0f} s")

    def _work(self, open_it: Open, about: About) -> None:
        try:
            tracker = open_it(about)
            while not self._failed.is_set() and (call := self._calls.get()) is not None:
                call(tracker)
            tracker.close()
        except (Exception, SystemExit) as error:
            if not self._failed.is_set():
                self._give_up(_reason(error, self.name))

    def _give_up(self, reason: str) -> None:
        self._failed.set()
        say(f"{self.name} is told nothing more: {reason}; the run goes on, and its own files hold all", sys.stderr)


def _reason(error: BaseException, name: str) -> str:
    if isinstance(error, ImportError):
        return f"it cannot be imported ({short(error, 200)}), which pip install -U {name} may remedy"
    return f"{type(error).__name__}: {short(error, 300)}"


class Trackers:
    """Several at once; none for a run that is not tracked."""

    def __init__(self, guarded: Sequence[GuardedTracker] = ()) -> None:
        self._guarded = guarded

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        for tracker in self._guarded:
            tracker.tell(lambda t: t.scores(values, step=step))

    def picture(self, name: str, path: Path) -> None:
        for tracker in self._guarded:
            tracker.tell(lambda t: t.picture(name, path))

    def film(self, name: str, path: Path) -> None:
        for tracker in self._guarded:
            tracker.tell(lambda t: t.film(name, path))


@contextmanager
def tracked(openers: Mapping[str, Open], about: About, *, wait_seconds: float = 30.0) -> Iterator[Trackers]:
    """Trackers by name, told to the end of the `with`."""
    guarded = [GuardedTracker(name, open_it, about) for name, open_it in openers.items()]
    try:
        yield Trackers(guarded)
    finally:
        for tracker in guarded:
            tracker.close(seconds=wait_seconds)
