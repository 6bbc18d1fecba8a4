"""A sweep as it runs: a table that lives or, where the output is no terminal, lines as runs begin, go on and end."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from metarl.files import open_plain
from metarl.runs.directory import METRICS
from metarl.runs.log import format_seconds, is_fancy, say
from metarl.sweep.grid import Run
from metarl.text import cell

REFRESH_SECONDS, PLAIN_SECONDS = 1.0, 60.0
MOST_ROWS = 30
"""Of the table: a terminal has no more lines."""
_TAIL_BYTES = 4096


class View:
    """The live table of a sweep's runs; where the output is no terminal, a line for each that begins or ends, and how
    far those that run are once a minute."""

    def __init__(self, sweep: Path, *, total: int, iterations: int) -> None:
        """`total` runs, each of so many iterations."""
        self._sweep, self._total, self._iterations = sweep, total, iterations
        self._live = Live(console=Console(), auto_refresh=False, transient=True) if is_fancy(sys.stdout) else None
        self._shown_at = time.monotonic() if self._live is None else 0.0

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, *, done: Collection[Run], running: Collection[Run], failed: Collection[Run]) -> None:
        """The table anew, or the line."""
        if time.monotonic() - self._shown_at < (PLAIN_SECONDS if self._live is None else REFRESH_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._live is None:
            now = ", ".join(f"{run.name} ({self._iteration(run)})" for run in running)
            say(f"{len(done)} of {self._total} runs done; running, by iterations: {now}")
            return
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title=f"{len(done)} of {self._total} runs done")
        for heading in ("setting", "done", "failed", "running"):
            table.add_column(heading, justify="left" if heading in ("setting", "running") else "right", no_wrap=True)
        # those that run stand first, and the newest of the others
        names = dict.fromkeys(run.setting.name for run in (*running, *reversed([*failed, *done])))
        for name in list(names)[:MOST_ROWS]:
            of_setting = [[run for run in runs if run.setting.name == name] for runs in (done, failed, running)]
            now = ", ".join(f"seed {run.seed} ({self._iteration(run)})" for run in of_setting[2])
            table.add_row(*map(cell, (name, str(len(of_setting[0])), str(len(of_setting[1]) or ""), now)))
        self._live.update(table, refresh=True)

    def begin(self, run: Run, log: Path) -> None:
        if self._live is None:
            say(f"{run.name}: started; what it says goes to {log}")

    def tell(self, run: Run, *, seconds: float, failure: str | None, done: int) -> None:
        """A run that failed is said everywhere; where there is a table, it counts those that did not."""
        if failure is not None:
            self._say(f"{run.name} failed: {failure}")
        elif self._live is None:
            self._say(f"{run.name}: done in {format_seconds(seconds)}; {done} of {self._total} runs")

    def _say(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(cell(text))
        else:
            say(text)

    def _iteration(self, run: Run) -> str:
        found = re.findall(rb'^\{"iteration": (\d+)', _tail(run.place(self._sweep) / METRICS), flags=re.MULTILINE)
        return f"{int(found[-1]) + 1 if found else 0} of {self._iterations}"


def _tail(path: Path) -> bytes:
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read()
    except OSError:
        return b""
