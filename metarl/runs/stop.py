"""Ctrl-C, SIGTERM and SIGHUP: the first asks to stop at the next safe point, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

EXIT_CODE = 130


class Stopped(BaseException):
    """Waiting was given up for a signal. No Exception, so that a retry of failed work does not swallow it."""


class StopSignal:
    """Handles these signals inside a `with` block of the main thread; elsewhere it never fires.

    One that the process was started to ignore, as SIGHUP under nohup, stays ignored.

    Work that must be whole runs plainly and looks at `requested` between its steps; waiting that may be
    dropped runs inside `with stop.interruptible():`, where the first signal raises Stopped.
    """

    def __init__(
        self, cleanup: Callable[[], Any] = lambda: None, *, when: Callable[[], str] = lambda: "once this step is whole"
    ) -> None:
        """`when`, in the answer to a signal, says when the work will be whole."""
        self._when = when
        self.cleanup = cleanup
        """Called at the second signal before the process ends: kills the workers.

        It must neither print nor take a lock that the interrupted code may hold.
        """
        self.signal_name: str | None = None
        self._interruptible = False
        self._is_ending = False
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        return self.signal_name is not None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raises Stopped at once if a signal has come already, and when one comes."""
        before = self._interruptible
        try:
            self._interruptible = True
            if self.requested:
                raise Stopped(self.signal_name)
            yield
        finally:
            self._interruptible = before

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():  # Python allows no other to set handlers
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not Python's
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self._end()
        self.signal_name = signal.Signals(number).name
        when = "now" if self._interruptible else self._when()
        # straight to the descriptor: the interrupted code may be in the middle of printing
        with suppress(OSError):  # such as of a terminal that has hung up
            os.write(2, f"\n{self.signal_name}: stopping {when}; once more ends at once\n".encode())
        if self._interruptible:
            raise Stopped(self.signal_name)

    def _end(self) -> None:
        """A third signal, during the clean-up, does not wait for it."""
        try:
            if not self._is_ending:
                self._is_ending = True
                self.cleanup()
        finally:
            if sys.stdout is not None and sys.stdout.isatty():
                os.write(1, b"\x1b[?25h")  # the progress bar hid the cursor and cannot bring it back any more
            os._exit(EXIT_CODE)
