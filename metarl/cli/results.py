"""`metarl results RUN...`: store finished runs as records and remake the results table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.runs.log import say
from metarl.runs.records import records
from metarl.runs.results import add_result, write_table


@dataclass(frozen=True)
class ResultsArguments:
    """Add finished runs to experiments/results/ and rewrite the table in experiments/README.md.

    A run of a name and seed that is stored already takes that one's place.
    """

    run_dirs: Positional[tuple[Path, ...]] = ()
    name: str | None = None
    """Store the runs under this name instead of their experiment's."""
    into: Path | None = None
    """A directory of your own for results/ and RESULTS.md, in place of metarl's experiments/."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ResultsArguments, args=rest, prog="metarl results")
    results, table, _ = records(arguments.into)
    for record in add_result(results, *arguments.run_dirs, name=arguments.name):
        say(f"stored {record}")
    write_table(results, table)
    say(f"wrote {table}")
    return 0
