"""docs/metaworld.md: tables made of the records of two benches stand between marks, the prose around them is by hand.

<!--table NAME-->
| ... |
<!--end of table-->
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from metarl.envs.metaworld.goals import check_task_name
from metarl.envs.metaworld.names import TASK_NAMES
from metarl.errors import UserError
from metarl.experiments.bench import _alignment_tables, _speed_tables
from metarl.experiments.bench._record import Record
from metarl.files import replace_file
from metarl.runs.find import experiments_directory

ALIGNMENT, SPEED = "metaworld_alignment", "metaworld_against_envpool"
"""Names of the records in experiments/results/bench/."""
COMMANDS = {
    ALIGNMENT: "metarl bench alignment --write",
    SPEED: "metarl bench metaworld --against envpool --write",
}
MARKED = re.compile(r"(<!--table (?P<name>.*?)-->\n).*?(<!--end of table-->)", re.DOTALL)


def chosen_tasks(names: Sequence[str], *, write: bool) -> Sequence[str]:
    """All 50 where none is named. Raises UserError for an unknown one, and for some where the page is written."""
    for name in names:
        check_task_name(name)
    if names and write:
        raise UserError(f"--write makes a page of all {len(TASK_NAMES)} tasks; leave out --tasks, or store with --json")
    return names or TASK_NAMES


def store_and_show(name: str, record: Record, console: Console) -> None:
    """Store a record and make the page of it."""
    place = records_directory() / f"{name}.json"
    replace_file(place, json.dumps(record, indent=1).encode())
    console.print(f"stored {place}")
    for page in write_page():
        console.print(f"wrote {page}")


def records_directory() -> Path:
    return experiments_directory() / "results" / "bench"


def page_path() -> Path:
    return experiments_directory().resolve().parent / "docs" / "metaworld.md"


def write_page() -> list[Path]:
    """Fill in its tables; the page if that changed it, nothing where metarl is installed without its docs."""
    page = page_path()
    if not page.is_file():
        return []
    text = page.read_text(encoding="utf-8")
    new = filled_in(text, stored_records())
    if new == text:
        return []
    replace_file(page, new.encode())
    return [page]


def stored_records() -> dict[str, Record]:
    places = {name: records_directory() / f"{name}.json" for name in COMMANDS}
    return {name: json.loads(place.read_bytes()) for name, place in places.items() if place.is_file()}


def filled_in(text: str, records: Mapping[str, Record]) -> str:
    """The page with its tables made anew. Raises UserError for the mark of a table that there is not."""

    def table(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise UserError(f"no table is called {match['name']!r:.100}; mark one of {', '.join(TABLES)}")
        record, make = TABLES[match["name"]]
        lines = make(records[record]) if record in records else [f"Not measured yet: `{COMMANDS[record]}`."]
        return "\n".join([match[1], *lines, "", match[3]])

    return MARKED.sub(table, text)


TABLES: dict[str, tuple[str, Callable[[Record], list[str]]]] = {
    "alignment": (ALIGNMENT, _alignment_tables.summary_table),
    "alignment by task": (ALIGNMENT, _alignment_tables.task_table),
    "speed": (SPEED, _speed_tables.summary_table),
    "speed by task": (SPEED, _speed_tables.task_table),
    "samplers": (SPEED, _speed_tables.sampler_table),
}
