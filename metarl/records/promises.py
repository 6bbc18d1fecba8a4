"""The line of an experiment's docstring that says what its record shows: `Record: ...`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from metarl.records.compact import Record
from metarl.records.overview import row_of

PROMISE = re.compile(r"^Record: [^\n]*$", re.MULTILINE)


def with_promises(experiments: Path, records: Mapping[str, Record]) -> dict[Path, str]:
    """The source of each experiment file that has such a line, with the line that its record makes of it."""
    found = {}
    for path in sorted(experiments.glob("*.py")):
        if path.stem in records and PROMISE.search(text := path.read_text(encoding="utf-8")):
            line = promise(path.stem, records[path.stem])
            found[path] = PROMISE.sub(lambda _, line=line: line, text, count=1)
    return found


def promise(name: str, record: Record) -> str:
    """What the page of results says of it, in a line."""
    row = row_of(name, record)
    first = f", {row.at_first} before adaptation" if row.at_first else ""
    seeds = "1 seed" if row.seeds == "1" else f"{row.seeds} seeds"
    minutes = "less than a minute" if row.minutes == "0" else f"{row.minutes} minutes"
    return f"Record: {row.of} {row.adapted}{first}; {row.trained_for}, {minutes}, {seeds}."
