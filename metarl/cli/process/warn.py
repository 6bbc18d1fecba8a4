"""Warnings of a command as lines for people: without the place in our code, and the code itself, that Python adds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from metarl.errors import WorkerWarning
from metarl.text import printable_lines


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Those that are said to a user; of a library's own, such as an overflow, the place is what helps."""
    before = warnings.formatwarning

    def as_line(message: Warning | str, category: type[Warning], *place: object) -> str:
        if issubclass(category, UserWarning | WorkerWarning):
            return f"warning: {printable_lines(message)}\n"
        return before(message, category, *place)  # type: ignore[arg-type]

    warnings.formatwarning = as_line
    try:
        yield
    finally:
        warnings.formatwarning = before
