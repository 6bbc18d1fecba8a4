"""`metarl fewshot table`: the few-shot results side by side, from stored runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from metarl.fewshot.results import overview, write_overview
from metarl.runs.log import say
from metarl.runs.records import records


@dataclass(frozen=True)
class FewShotArguments:
    """Make the table of all stored few-shot runs and write it to experiments/FEW_SHOT.md."""

    what: Positional[Literal["table"]]
    into: Path | None = None
    """The directory that `metarl results --into` stored the runs in, in place of metarl's experiments/."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(FewShotArguments, args=rest, prog="metarl fewshot")
    results, _, table = records(arguments.into)
    say("\n".join(overview(results)))
    write_overview(results, table)
    say(f"wrote {table}")
    return 0
