"""`metarl continual RUN ...`: what runs of a sequence of tasks learned, kept and passed on, as tables and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.errors import UserError
from metarl.experiments._sequence import PICTURE, show


@dataclass(frozen=True)
class ContinualArguments:
    """Average performance, forgetting and forward transfer of runs of a sequence of tasks (Wołczyk et al. 2021).

    Success is at any step, of sampled actions, on the goals that the run was evaluated on.
    """

    runs: Positional[tuple[Path, ...]]
    """Run directories of one sequence, of cw10_sac or cw10_sac_replay."""
    alone: tuple[Path, ...] = ()
    """Runs of one task each, from scratch on the same budget, that forward transfer is measured against."""
    plot: Path = PICTURE


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ContinualArguments, args=rest, prog="metarl continual")
    if not arguments.runs:
        raise UserError("metarl continual was given no run; give a run directory or more")
    show(arguments.runs, alone=arguments.alone, plot=arguments.plot)
    return 0
