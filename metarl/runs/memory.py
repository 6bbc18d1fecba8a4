"""How much memory runs take, and how much there is. Linux; 0 elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


def taken_by(pid: int) -> int:
    """Bytes in memory of a process and all below it; what several share is shared out among them (PSS, proc(5))."""
    return sum(_kilobytes(_PROC / str(each) / "smaps_rollup", "Pss") * 1024 for each in _with_children(pid))


def available() -> int:
    """Bytes that new processes could take, within the limit of the container."""
    free = _kilobytes(_PROC / "meminfo", "MemAvailable") * 1024
    limit, taken = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or taken is None else min(free, max(0, limit - taken))


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for file in (_PROC / str(pid) / "task").glob("*/children"):
        for child in _text(file).split():
            yield from _with_children(int(child))


def _kilobytes(file: Path, name: str) -> int:
    match = re.search(rf"^{name}:\s*(\d+) kB$", _text(file), flags=re.MULTILINE)
    return int(match[1]) if match else 0


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    """'' of a process that has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""
