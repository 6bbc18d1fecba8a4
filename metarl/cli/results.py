"""`metarl results RUN...`: store finished runs as records and remake the tables of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.errors import UserError
from metarl.experiments.bench._metaworld_page import write_page
from metarl.files import replace_file
from metarl.records.figures import benches_in, documents, filled_in
from metarl.records.overview import one_page
from metarl.records.places import records
from metarl.records.promises import with_promises
from metarl.records.results import add_result, section, write_table
from metarl.records.stored import place_of_record, read_record, read_results
from metarl.runs.log import say


@dataclass(frozen=True)
class ResultsArguments:
    """Add finished runs to experiments/results/, rewrite experiments/README.md and RESULTS.md, and fill in the figures
    in README, docs and experiments' docstrings.

    A run of a name and seed that is stored already takes that one's place. A seed's directory of an older metarl is a
    run as well.
    """

    run_dirs: Positional[tuple[Path, ...]] = ()
    name: str | None = None
    """Store the runs under this name instead of their experiment's."""
    into: Path | None = None
    """A directory of your own for results/ and RESULTS.md, in place of metarl's experiments/."""
    show: str | None = None
    """Print all scores of the record of this name, and write nothing."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ResultsArguments, args=rest, prog="metarl results")
    results, table, _, page = records(arguments.into)
    if arguments.show is not None:
        place = place_of_record(results, arguments.show)
        if place is None:
            raise UserError(f"{results} has no record {arguments.show!r:.100}; give the name of one of its files")
        say("\n".join(section(arguments.show, read_record(place))))
        return 0
    for record in add_result(results, *arguments.run_dirs, name=arguments.name):
        say(f"stored {record}")
    write_table(results, table)
    say(f"wrote {table}")
    if page is not None:
        stored = dict(read_results(results))
        replace_file(page, one_page(stored).encode())
        say(f"wrote {page}")
        for document in documents(page.parent):
            text = document.read_text(encoding="utf-8")
            if (new := filled_in(text, stored, benches_in(results))) != text:
                replace_file(document, new.encode())
                say(f"filled in the figures of {document}")
        for experiment, source in with_promises(page.parent, stored).items():
            if source != experiment.read_text(encoding="utf-8"):
                replace_file(experiment, source.encode())
                say(f"filled in what {experiment} promises")
        for document in write_page():
            say(f"filled in the tables of {document}")
    return 0
