"""What runs of a sequence of tasks learned, kept and passed on, as tables and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from metarl.errors import UserError
from metarl.records.sequence import SequenceRun, areas_alone, read_sequence
from metarl.runs.log import say
from metarl.scores.continual import Array, areas, at_own_end, average_performance, forgetting, forward_transfer
from metarl.scores.plots import plot_sequence
from metarl.text import cell, printable, sentence

HEADINGS = ("task", "trained", "at the end", "forgetting", "AUC", "AUC alone", "transfer")
PICTURE = Path("continual.png")


def show_own(run: Path) -> None:
    """Of a run that has just ended: its table, and its picture beside its other files. Says why where there is none."""
    try:
        show([run], plot=run / PICTURE)
    except UserError as error:
        say(sentence(f"no table of the sequence: {error}"))


def show(paths: Sequence[Path], *, alone: Sequence[Path] = (), plot: Path) -> None:
    """Print a table of each run, and draw all. Raises UserError for runs that are not of one sequence."""
    runs, references = [read_sequence(path) for path in paths], [read_sequence(path) for path in alone]
    first, console = runs[0], Console()
    for run in runs:
        if (run.names, run.settings) != (first.names, first.settings):
            raise UserError(f"{run.path} and {first.path} are runs of different sequences; give runs of one")
        areas_of_references = areas_alone(run, references)
        # not in the table's title: a path may be long, and would be broken
        average, budget = average_performance(run.success)[-1], f"{len(run.names)} x {run.steps_per_task:,} env steps"
        say(printable(f"{run.path}: average performance {average:.2f} after {budget}"))
        console.print(_table(run, areas_of_references), width=None if console.is_terminal else 120)
        solved = [name for name, area in zip(run.names, areas_of_references, strict=True) if area == 1]
        if solved:
            say(printable(f"no transfer to {', '.join(solved)}: alone it is solved from its first step on"))
    curves = {str(run.path): (run.times, run.success) for run in runs}
    plot_sequence(plot, curves, names=first.names, steps_per_task=first.steps_per_task)
    say(f"drew {plot}")


def _table(run: SequenceRun, alone: Array) -> Table:
    """A row a task, and the means over tasks that the paper takes; empty where no reference was given."""
    steps, own = run.steps_per_task, areas(run.times, run.success, steps_per_task=run.steps_per_task)
    columns = (
        at_own_end(run.times, run.success, steps_per_task=steps),
        run.success[-1],
        forgetting(run.times, run.success, steps_per_task=steps),
        own,
        alone,
        forward_transfer(own, alone),
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "task" else "right", no_wrap=True)
    for name, *values in zip(run.names, *columns, strict=True):
        table.add_row(cell(name), *map(_number, values))
    table.add_row("mean", *(_number(_mean(column)) for column in columns))
    return table


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _mean(column: Array) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if known.size else math.nan
