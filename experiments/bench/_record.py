"""What the records of benches have in common, and the tables of the Meta-World ones as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from metarl.files import replace_file
from metarl.runs.versions import environment

Record = Mapping[str, Any]


def settings_of(arguments: Any) -> dict[str, Any]:
    """Of a bench, as JSON has them, without where its record goes."""
    said = {name: value for name, value in vars(arguments).items() if name not in ("json", "write", "venv")}
    return json.loads(json.dumps(said))


def store(arguments: Any, content: Mapping[str, Any]) -> None:
    """Where a bench was told to, if it was: its content behind its arguments and the machine."""
    if arguments.json is not None:
        record = {"arguments": settings_of(arguments), "environment": environment(), **content}
        replace_file(arguments.json, json.dumps(record, indent=1).encode())


def origin() -> dict[str, Any]:
    """When a record was made, and by what."""
    return {"date": datetime.now(UTC).date().isoformat(), "environment": environment()}


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """All columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def made(record: Record) -> str:
    """When, and with which versions."""
    versions = record["environment"]
    names = ("metaworld", "mujoco", "gymnasium", "numpy", "python")
    return f"{record['date']}, {', '.join(f'{name} {versions[name]}' for name in names)}"
