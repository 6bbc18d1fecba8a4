"""The progress of an evaluation and the like, and the time left: for people who wait for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from metarl.progress import Listener, heard_by
from metarl.runs.log import format_seconds, is_fancy, say
from metarl.text import printable

_HOUR = 3600.0


@contextmanager
def progress_bar(
    description: str, *, stream: TextIO | None = None, plain_every_seconds: float = 10.0
) -> Iterator[None]:
    """Shows what is told inside the `with`: a bar that goes away at its end.

    Where the output is no terminal, plain lines come instead, `plain_every_seconds` apart: none for short work.
    """
    out = stream or sys.stdout
    if not is_fancy(out):
        with heard_by(_plain_lines(description, out, plain_every_seconds)):
            yield
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # what is told may be minutes apart, and the time left is of all of it
    with Progress(
        *columns, console=RichConsole(file=out), transient=True, speed_estimate_period=_HOUR, redirect_stderr=False
    ) as progress:
        task = progress.add_task(printable(description), total=1.0)
        with heard_by(lambda share: progress.update(task, completed=share)):
            yield


def _plain_lines(description: str, stream: TextIO, every_seconds: float) -> Listener:
    started = last = time.monotonic()

    def listen(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if 0.0 < share < 1.0 and now - last >= every_seconds:
            left = format_seconds((now - started) * (1.0 - share) / share)
            say(f"{description}: {share:.0%}, {left} left", stream)
            last = now

    return listen
