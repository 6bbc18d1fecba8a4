"""`metarl compare RUN ...`: runs compared, as a table and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from metarl.cli.words import check_target
from metarl.errors import UserError
from metarl.records.compare import (
    Entry,
    iqm_interval,
    probability_of_improvement,
    read_entries,
    training_curve,
)
from metarl.runs.log import say
from metarl.scores.format import fixed
from metarl.scores.plots import plot_comparison
from metarl.scores.stats import Interval
from metarl.scores.table import over_seeds


@dataclass(frozen=True)
class CompareArguments:
    """Compare runs on their held-out tasks: means, interquartile means, probability of being better than the first.

    Runs that differ in nothing but their seed are taken together. Intervals are 95 % bootstrap over seeds, and over
    tasks within each class.
    """

    runs: Positional[tuple[Path, ...]]
    """Run directories, or folders of stored seeds such as experiments/results/NAME."""
    mode: Literal["stochastic", "deterministic"] = "stochastic"
    """Tested with sampled actions, or with the mean action."""
    measure: Literal["auto", "return", "success_any", "success_last"] = "auto"
    """auto: success at any step where there is such a thing, else the return."""
    plot: Path = Path("comparison.png")


def main(rest: list[str]) -> int:
    arguments = tyro.cli(CompareArguments, args=rest, prog="metarl compare")
    if not arguments.runs:
        raise UserError("metarl compare was given no run; give two run directories or more")
    check_target(arguments.plot, flag="--plot")
    entries = read_entries(arguments.runs)
    measure = _measure(arguments, entries)
    _print(entries, arguments, measure)
    curves = {
        entry.label: [iqm_interval(row, entry.strata) for row in entry.values(arguments.mode, measure).swapaxes(0, 1)]
        for entry in entries
    }
    metric = "return/post" if measure == "return" else "success/post"
    training = {entry.label: curve for entry in entries if (curve := training_curve(entry.rows, metric)) is not None}
    plot_comparison(arguments.plot, curves, training, measure=measure.replace("_", ", "), metric=metric)
    say(f"drew {arguments.plot}")
    return 0


def _measure(arguments: CompareArguments, entries: list[Entry]) -> str:
    if arguments.measure != "auto":
        return arguments.measure
    succeeds = any(entry.values(arguments.mode, "success_any").any() for entry in entries)
    return "success_any" if succeeds else "return"


def _print(entries: list[Entry], arguments: CompareArguments, measure: str) -> None:
    first = entries[0]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("run", "step"):
        table.add_column(heading, no_wrap=True)
    is_compared = len(entries) > 1
    for heading in ("mean [95 %]", "IQM [95 %]", "P(better than 1)")[: 3 if is_compared else 2]:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, entry in enumerate(entries, start=1):
        values, base = entry.values(arguments.mode, measure), first.values(arguments.mode, measure)
        means = over_seeds(entry.scores, arguments.mode, measure)
        for k in range(values.shape[1]):
            better = ""
            if entry is not first and k < base.shape[1]:
                better = _text(probability_of_improvement(values[:, k], base[:, k], entry.strata))
            middle = iqm_interval(values[:, k], entry.strata)
            cells = (str(number) if k == 0 else "", str(k), _text(means[k]), _text(middle), better)
            table.add_row(*cells[: len(table.columns)])
    # names may be long paths: in the table they would leave no room for the numbers
    for number, entry in enumerate(entries, start=1):
        steps = sum(entry.env_steps) / len(entry.env_steps)
        say(f"{number}  {entry.label}: {len(entry.paths)} seed(s), {steps:,.0f} env steps of meta-training each")
    say(f"\n{measure.replace('_', ', ')} on {len(first.task_ids)} held-out tasks, {arguments.mode} actions")
    console = Console()
    # in a pipe rich takes 80 columns, and would cut numbers off
    console.print(table, width=None if console.is_terminal else 120)


def _text(interval: Interval) -> str:
    digits = 0 if abs(interval.mean) >= 100 else 2
    return "{} [{}, {}]".format(*(fixed(value, digits) for value in interval))
