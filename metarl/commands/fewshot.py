"""`metarl fewshot table`: the few-shot results side by side, from stored runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro
from tyro.conf import Positional

from metarl.fewshot.results import overview, write_overview
from metarl.find_experiment import experiments_directory


@dataclass(frozen=True)
class FewShotArguments:
    """Make the table of all stored few-shot runs and write it to experiments/FEW_SHOT.md."""

    what: Positional[Literal["table"]]


def main(rest: list[str]) -> int:
    tyro.cli(FewShotArguments, args=rest, prog="metarl fewshot")
    directory = experiments_directory()
    print("\n".join(overview(directory / "results")))
    write_overview(directory / "results", directory / "FEW_SHOT.md")
    print(f"wrote {directory / 'FEW_SHOT.md'}")
    return 0
