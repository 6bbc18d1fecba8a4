"""Runs of a sweep side by side, each a process of its own: one that crashes is told and ends no other."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metarl.errors import UserError
from metarl.files import open_plain, read_plain
from metarl.runs.memory import taken_by
from metarl.runs.stop import StopSignal
from metarl.sweep.grid import Run
from metarl.sweep.plan import Cost
from metarl.text import sentence

POLL_SECONDS = 0.1
MEASURE_SECONDS = 1.0
MAX_LOG_BYTES = 2**26


class Training(Protocol):
    """A run that was started, here or elsewhere."""

    @property
    def cost(self) -> Cost: ...

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def ask_to_stop(self) -> None:
        """It saves and ends, as at Ctrl-C."""
        ...

    def kill(self) -> None: ...

    def why(self, code: int) -> str:
        """It failed, in a sentence: what it said last."""
        ...


class RunProcess:
    """`metarl train` in a session of its own, so that Ctrl-C reaches the sweep alone, with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        try:
            descriptor = open_plain(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            raise UserError(f"cannot write {log}: {error.strerror}; remove it, or choose another --out") from error
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                env={**os.environ, "NO_COLOR": "1"},
            )
        finally:
            os.close(descriptor)
        self._started, self._measured = time.monotonic(), 0.0
        self._peak_bytes = 0

    @property
    def cost(self) -> Cost:
        return Cost(round(time.monotonic() - self._started, 3), self._peak_bytes)

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        code = self._process.poll()
        now = time.monotonic()
        if code is None and now - self._measured >= MEASURE_SECONDS:
            self._measured = now
            self._peak_bytes = max(self._peak_bytes, taken_by(self._process.pid))
        return code

    def ask_to_stop(self) -> None:
        """It saves and ends, as at Ctrl-C."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def why(self, code: int) -> str:
        """It failed, in a sentence: what it said last."""
        try:
            lines = read_plain(self._log, max_bytes=MAX_LOG_BYTES).decode(errors="replace").split("\n")
        except OSError:
            lines = []
        said = [line for line in lines if line.startswith("error: ")] or [line for line in lines if line.strip()]
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return sentence(said[-1].removeprefix("error: ") if said and code > 0 else how)


@dataclass(frozen=True)
class Ended:
    """How a run of a sweep ended."""

    run: Run
    cost: Cost
    failure: str | None
    """In a sentence; None: it ended well."""


def run_side_by_side(
    runs: Sequence[Run],
    start: Callable[[Run], Training],
    *,
    jobs: int,
    stop: StopSignal,
    running: dict[Run, Training],
    tick: Callable[[], None],
) -> Iterator[Ended]:
    """Those that ended, as they do; those that run are kept in `running`. Ends early, once all have saved, at a signal.

    `tick` is called some times a second.
    """
    waiting = deque(runs)
    asked = False
    while running or (waiting and not stop.requested):
        if stop.requested and not asked:
            asked = True
            for process in running.values():
                process.ask_to_stop()
        while waiting and not stop.requested and len(running) < jobs:
            run = waiting.popleft()
            running[run] = start(run)
        tick()
        time.sleep(POLL_SECONDS)
        for run, process in list(running.items()):
            if (code := process.poll()) is None:
                continue
            del running[run]
            if code == 0 or not stop.requested:
                yield Ended(run, process.cost, process.why(code) if code else None)
