"""What a run says: metrics.jsonl for programs, a bar or plain lines for people, trackers if wanted."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from metarl.errors import UserError
from metarl.files import open_plain, read_plain, replace_file
from metarl.text import printable, printable_lines
from metarl.whole import Whole

if TYPE_CHECKING:
    from metarl.trackers.tracker import Trackers


EVALUATED_AT = "eval/env_steps"
"""Behind the theta that the `eval/` scores of a row are of."""
MAX_BYTES = 256 * 2**20
WITHIN_SECONDS = 60.0
MIN_COLUMNS = 60
"""In a narrower terminal the bar would be cut off, while plain lines wrap."""


class MetricsLog:
    """One JSON line per iteration, flushed at once: a killed run loses at most the line it was writing.

    A new file for `resume_at=None`; otherwise the rows before iteration `resume_at` are kept and later ones
    dropped, and where they are not the `expected_rows` that were there at that time, it is said. Raises UserError if a
    new file exists already or an old one is damaged in the middle.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume_at: int | None = None,
        expected_rows: int | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        self._trackers = trackers
        self.rows = 0
        """In the file."""
        if resume_at is not None:
            kept = _kept_rows(path, resume_at, expected_rows)
            replace_file(path, "".join(f"{json.dumps(row)}\n" for row in kept).encode())
            self.rows = len(kept)
        try:
            self._file = open(path, "x" if resume_at is None else "a", encoding="utf-8", opener=open_plain)
        except FileExistsError:
            raise UserError(f"{path} exists already; resume the run or choose another --out") from None

    def write(self, iteration: int, *, env_steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """Append one row; NaN and infinities are written as null, which JSON has."""
        fixed = {"iteration": iteration, "env_steps": env_steps, "seconds": seconds}
        if taken := fixed.keys() & metrics.keys():
            raise ValueError(f"metrics may not be named {sorted(taken)}; rename them")
        row = {**fixed, **{name: float(value) for name, value in metrics.items()}}
        try:
            self._file.write(json.dumps({name: _finite(value) for name, value in row.items()}) + "\n")
            self._file.flush()
            self.rows += 1
        except OSError as error:
            raise UserError(f"cannot write {self._file.name}: {error.strerror}; free space and resume") from error
        if self._trackers is not None:
            by_step: dict[int, dict[str, float]] = {}
            for name, value in row.items():
                # supervised data have no env steps
                step = int(env_steps_of(row, name)) if env_steps else iteration
                if math.isfinite(value):
                    by_step.setdefault(step, {})[name] = value
            for step, values in by_step.items():
                self._trackers.scores(values, step=step)

    def sync(self) -> None:
        """Wait until all rows lie on the disk. Raises UserError."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self._file.name}: {error.strerror}; free space and resume") from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file, null as NaN; a last line cut off by a kill is dropped. Raises UserError."""
    rows = _read_rows(path)
    return [{name: math.nan if value is None else value for name, value in row.items()} for row in rows]


def env_steps_of(row: Mapping[str, Any], metric: str) -> float:
    """Behind the theta that a metric of a row is of: scores are taken before the row's update."""
    return row.get(EVALUATED_AT, row["env_steps"]) if metric.startswith("eval/") else row["env_steps"]


def _kept_rows(path: Path, resume_at: int, expected: int | None) -> list[dict[str, Any]]:
    """Those before an iteration, one of each. Gaps and doubles are said: what was learnt does not depend on them."""
    rows = [row for row in _read_rows(path) if row["iteration"] < resume_at] if path.exists() else []
    kept: dict[int, dict[str, Any]] = {}
    for row in rows:
        kept.setdefault(row["iteration"], row)
    if doubled := len(rows) - len(kept):
        say(f"{path} had {doubled} rows of iterations that stand twice; the first of each stays", sys.stderr)
    if expected is not None and len(kept) != expected:
        say(f"{path} has {len(kept)} rows before iteration {resume_at} and had {expected}: some were lost", sys.stderr)
    return list(kept.values())


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = read_plain(path, max_bytes=MAX_BYTES).splitlines()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the directory of a run") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = msgspec.json.decode(line, type=dict[str, Whole | float | None])
            if type(row.get("iteration")) is not int or type(row.get("env_steps")) is not int:
                raise ValueError("no iteration or no env_steps")
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # killed while writing
                break
            raise UserError(f"{path}, line {number} is not a metrics row; remove that line") from error
        rows.append(row)
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class Console:
    """Progress of a run: a bar with env steps/s (iterations/s where there are none) and time left, and rows above it.

    `total` and `start` count iterations. Where the output is no terminal, or NO_COLOR or CI is set, plain
    lines without escape codes come instead: the first, the last, and one in `plain_every_seconds` at most; within a
    long iteration one in `WITHIN_SECONDS`. Iterations without a gradient step, of an agent that fills its replay first,
    say nothing of the time that the others take.
    `columns` names the metrics to show; without it, the first five of the first iteration.
    """

    def __init__(
        self,
        *,
        total: int,
        description: str,
        start: int = 0,
        columns: Sequence[str] = (),
        stream: TextIO | None = None,
        plain_every_seconds: float = 10.0,
    ) -> None:
        self._total, self._start, self._description = total, start, printable(description)
        self._columns = list(columns)
        self._stream = stream or sys.stdout
        self._plain_every_seconds = plain_every_seconds
        self._done, self._env_steps = start, 0
        self._timed_from, self._started = start, time.monotonic()
        self._last_plain, self._has_learned = -math.inf, False
        self._progress = self._make_progress() if is_fancy(self._stream) else None

    def __enter__(self) -> Console:
        self._started = time.monotonic()
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def advance(self, env_steps: int, metrics: Mapping[str, float], *, show: bool = True) -> None:
        """One iteration is over; it took so many env steps. With `show` off it moves the bar and leaves no row."""
        is_first = self._done == self._start
        self._done += 1
        self._env_steps += env_steps
        self._columns = self._columns or list(metrics)[:5]
        pace = self._pace()
        self._has_learned = self._has_learned or metrics.get("gradient_steps") != 0
        if not self._has_learned:
            pace = "no gradient step yet"
            self._timed_from, self._env_steps, self._started = self._done, 0, time.monotonic()
        if self._progress:
            if is_first:
                self._progress.print(self._row("iteration", self._columns), style="bold", **_ONE_LINE)
            if show:
                values = [f"{metrics[name]:.4g}" if name in metrics else "-" for name in self._columns]
                self._progress.print(self._row(str(self._done), values), **_ONE_LINE)
            self._progress.update(self._task, completed=self._done, pace=pace)
        elif is_first or self._done >= self._total or self._is_due():
            shown = [f"{name} {metrics[name]:.4g}" for name in self._columns if name in metrics]
            self.print(f"{self._description} {self._done}/{self._total} | {pace} | {', '.join(shown)}")
            self._last_plain = time.monotonic()

    def within(self, share: float) -> None:
        """So much of the iteration's update is done."""
        if self._progress:
            self._progress.update(self._task, completed=self._done + share)
        elif time.monotonic() - max(self._last_plain, self._started) >= WITHIN_SECONDS:
            self.print(f"{self._description} {self._done}/{self._total} | {share:.0%} of the next update")
            self._last_plain = time.monotonic()

    def print(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        if self._progress:
            self._progress.print(printable_lines(text), markup=False, highlight=False)
        else:
            say(text, self._stream)

    def _make_progress(self) -> Progress:
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=RichConsole(file=self._stream),
        )
        self._task = progress.add_task(self._description, total=self._total, completed=self._start, pace="")
        return progress

    def _pace(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        done_here = self._done - self._timed_from
        seconds_left = (self._total - self._done) * seconds / done_here
        if self._env_steps == 0:  # supervised data
            return format_pace(done_here / seconds, seconds_left, unit="iterations")
        return format_pace(self._env_steps / seconds, seconds_left)

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_plain >= self._plain_every_seconds

    def _row(self, first: str, cells: Sequence[str]) -> str:
        widths = [max(len(name), 10) for name in self._columns]
        return "  ".join([f"{first:>9}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))])


_ONE_LINE: dict[str, Any] = {"markup": False, "highlight": False, "no_wrap": True, "overflow": "ellipsis"}


def say(text: str, stream: TextIO | None = None) -> None:
    """Print lines, whoever wrote them, at once."""
    print(printable_lines(text), file=stream or sys.stdout, flush=True)


def is_fancy(stream: TextIO) -> bool:
    """Whether colours and moving bars suit the stream: a terminal wide enough, no NO_COLOR, no CI."""
    if os.environ.get("NO_COLOR") or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    is_wide = shutil.get_terminal_size().columns >= MIN_COLUMNS
    return stream.isatty() and is_wide and os.environ.get("TERM") != "dumb"


def format_pace(per_second: float, seconds_left: float, *, unit: str = "env steps") -> str:
    """'3,210 env steps/s, 1:02:05 left'."""
    digits = 0 if per_second >= 10 else 1
    return f"{per_second:,.{digits}f} {unit}/s, {format_seconds(seconds_left)} left"


def format_seconds(seconds: float) -> str:
    """'1:02:05' or '2:05'."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
