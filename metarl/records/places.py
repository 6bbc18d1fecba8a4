"""Where records of runs lie, and the tables made from them: in experiments/, or in a directory of your own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from metarl.errors import UserError
from metarl.runs.find import experiments_directory


class Records(NamedTuple):
    """Where records and the tables of them lie."""

    results: Path
    """RESULTS/NAME.json holds the seeds of an experiment."""
    table: Path
    """All scores of each."""
    few_shot_table: Path
    page: Path | None
    """A line each; none beside a README.md that is somebody's work."""


def records(into: Path | None) -> Records:
    """Raises UserError where `into` is a file, or is left out and there is no checkout: what is installed is no place
    for one's own, and goes with the next version."""
    directory = experiments_directory() if into is None else into
    if into is None and not (directory.resolve().parent / "pyproject.toml").is_file():
        raise UserError(f"{directory} belongs to the installed metarl; give --into DIRECTORY for records of your own")
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--into {directory} is a file; give a directory for the records and their tables")
    results = directory / "results"
    page = directory / "README.md" if into is None else None
    return Records(results, directory / "RESULTS.md", directory / "FEW_SHOT.md", page)
