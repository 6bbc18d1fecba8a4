"""`metarl fewshot table|episodes`: the few-shot results side by side, and the episodes that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from metarl.errors import UserError, nearest
from metarl.fewshot.results import is_few_shot, overview, same_episodes, write_overview
from metarl.records.places import records
from metarl.records.stored import read_results
from metarl.runs.log import say


@dataclass(frozen=True)
class FewShotArguments:
    """`table`: make the table of all stored few-shot runs and write it to experiments/FEW_SHOT.md.

    `episodes NAME`: make the held-out episodes of a record again from its settings and the data here, and say whether
    they are those that it was scored on (by their SHA-256).
    """

    what: Positional[Literal["table", "episodes"]]
    name: Positional[str | None] = None
    """Of a record."""
    into: Path | None = None
    """The directory that `metarl results --into` stored the runs in, in place of metarl's experiments/."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(FewShotArguments, args=rest, prog="metarl fewshot")
    results, table = (places := records(arguments.into)).results, places.few_shot_table
    if arguments.what == "episodes":
        return _check_episodes(results, arguments.name)
    if arguments.name is not None:
        raise UserError(f"metarl fewshot table is of all records, and was given {arguments.name!r:.100}; leave it out")
    say("\n".join(overview(results)))
    write_overview(results, table)
    say(f"wrote {table}")
    return 0


def _check_episodes(results: Path, name: str | None) -> int:
    found = {stored: record for stored, record in read_results(results) if is_few_shot(record.evaluations[0])}
    if name not in found:
        raise UserError(
            f"{name} is no few-shot record in {results}{nearest(name or '', found)}; "
            f"give one of {', '.join(found) or 'those that `metarl results` stores'}"
        )
    checked = same_episodes(found[name])
    for suite, is_same in checked.items():
        say(
            f"{suite}: {'the same episodes' if is_same else 'OTHER EPISODES: other data, or another version of metarl'}"
        )
    return 0 if all(checked.values()) else 1
