"""`metarl results RUN...`: store finished runs as records and remake the results table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.find_experiment import experiments_directory
from metarl.results import add_result, write_table


@dataclass(frozen=True)
class ResultsArguments:
    """Add finished runs to experiments/results/ and rewrite the table in experiments/README.md."""

    run_dirs: Positional[tuple[Path, ...]] = ()
    name: str | None = None
    """Store the runs under this name instead of their experiment's."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ResultsArguments, args=rest, prog="metarl results")
    directory = experiments_directory()
    for run in arguments.run_dirs:
        print(f"stored {add_result(directory / 'results', run, name=arguments.name)}")
    write_table(directory / "results", directory / "README.md")
    print(f"wrote {directory / 'README.md'}")
    return 0
