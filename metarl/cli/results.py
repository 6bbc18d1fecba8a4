"""`metarl results RUN...`: store finished runs as records and remake the tables of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.errors import UserError
from metarl.experiments.bench._metaworld_page import write_page
from metarl.files import replace_file
from metarl.records.figures import benches_in, changed_figures, documents, filled_in
from metarl.records.overview import one_page
from metarl.records.places import records
from metarl.records.promises import with_promises
from metarl.records.results import add_result, section, table_of
from metarl.records.stored import place_of_record, read_record, read_results
from metarl.runs.log import say


@dataclass(frozen=True)
class ResultsArguments:
    """Add finished runs to experiments/results/, rewrite experiments/README.md and RESULTS.md, and fill in the figures
    in README, docs and experiments' docstrings.

    A run of a name and seed that is stored already takes that one's place. A seed's directory of an older metarl is a
    run as well. Without runs it remakes tables and figures from the records. It names each file that it changes.
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
    rewritten = _rewrite(table, table_of(results))
    if page is not None:
        rewritten += _fill_in(page, results)
    if not rewritten:
        say(f"nothing changed: {'the tables and figures are' if page else f'{table} is'} what the records make of them")
    return 0


def _fill_in(page: Path, results: Path) -> int:
    """The page of results, and all figures in the checkout; how many files that rewrote."""
    stored = dict(read_results(results))
    rewritten = _rewrite(page, one_page(stored))
    for document in documents(page.parent):
        old = document.read_text(encoding="utf-8")
        new = filled_in(old, stored, benches_in(results))
        rewritten += _rewrite(document, new, f": {', '.join(changed_figures(old, new))}")
    for experiment, source in with_promises(page.parent, stored).items():
        rewritten += _rewrite(experiment, source, ": what its docstring promises")
    for document in (pages := write_page()):
        say(f"rewrote {document}: its tables")
    return rewritten + len(pages)


def _rewrite(path: Path, text: str, what: str = "") -> int:
    """1 if the file had other content, else 0 and it stays untouched."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    replace_file(path, text.encode())
    say(f"rewrote {path}{what}")
    return 1
