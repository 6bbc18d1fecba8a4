"""What a person sees at the end of a few-shot run: accuracies with their intervals, and how they grow with steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from metarl.fewshot.evaluation import FewShotResult, normal_interval
from metarl.scores.plots import draw_curves, new_figure, save_figure
from metarl.scores.stats import Interval
from metarl.text import cell, label, printable

Results = Mapping[str, FewShotResult]


@dataclass(frozen=True)
class FewShotReport:
    """Implements `metarl.scores.report.Report`."""

    measure: str
    held_out: str = "test"
    """The split that is scored; what is not test is said."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ("meta_loss", f"{self.measure}/post", "grad_norm")

    def print_table(self, results: Results, *, title: str, console: Console | None = None) -> None:
        title += "" if self.held_out == "test" else f" ({self.held_out} classes)"
        table = Table(title=cell(title), box=None, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
        for heading in ("policy", "suite", "queries"):
            table.add_column(heading, no_wrap=True)
        for heading in ("steps", next(iter(results.values())).measure):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, result in results.items():
            for suite, scores in result.suites.items():
                for mode, curve in scores.scores.items():
                    for steps in curve:
                        score = format_score(scores.interval(mode, steps), result.measure)
                        table.add_row(name, cell(suite), mode, str(steps), score)
            table.add_row()
        console = console or Console()
        console.print(table)
        for name, result in results.items():
            for suite, scores in result.suites.items():
                for steps, count in scores.diverged.items():
                    console.print(
                        f"{name}, {printable(suite)}: adaptation diverged {count} times in {steps} steps", markup=False
                    )
        if any(scores.rejection for result in results.values() for scores in result.suites.values()):
            console.print(_rejection_table(results))

    def plot(self, path: Path, results: Results) -> None:
        """One panel a suite: score over inner steps; a method without steps is a point."""
        first = next(iter(results.values()))
        figure = new_figure(width=5.0 * len(first.suites), height=4.2)
        panels = figure.subplots(1, len(first.suites), squeeze=False)[0]
        for panel, suite in zip(panels, first.suites, strict=True):
            curves, steps = {}, []
            for name, result in results.items():
                for mode, curve in result.suites[suite].scores.items():
                    steps = list(curve)
                    curves[f"{name}, {mode}"] = [result.suites[suite].interval(mode, k) for k in steps]
            draw_curves(panel, curves)
            panel.set(title=label(suite), xlabel="inner steps", ylabel=first.measure, xticks=range(len(steps)))
            panel.set_xticklabels([str(k) for k in steps])
            if first.measure == "mse":
                panel.set_yscale("log")
        labels = panels[0].get_legend_handles_labels()
        figure.legend(*labels, loc="outside lower center", ncols=2, frameon=False)
        of = "" if self.held_out == "test" else f" of {self.held_out} classes"
        figure.suptitle(f"Held-out tasks{of} (mean and 95 % interval over episodes)")
        save_figure(figure, path)


def _rejection_table(results: Results) -> Table:
    title = "Out-of-scope requests"
    table = Table(title=title, box=None, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("policy", "suite"):
        table.add_column(heading, no_wrap=True)
    for heading in ("AUROC", "let through at 95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, result in results.items():
        for suite, scores in result.suites.items():
            if scores.rejection is not None:
                intervals = (normal_interval(values) for values in vars(scores.rejection).values())
                table.add_row(name, cell(suite), *(format_score(interval, "accuracy") for interval in intervals))
    return table


def format_value(value: float, measure: str) -> str:
    """'98.71 %' of an accuracy, '0.375' of a squared error."""
    return f"{100 * value:.2f} %" if measure == "accuracy" else f"{value:.3g}"


def format_score(interval: Interval, measure: str) -> str:
    """'98.71 ± 0.23 %' of an accuracy, '0.375 ± 0.027' of a squared error."""
    half = (interval.high - interval.low) / 2
    if measure == "accuracy":
        return f"{100 * interval.mean:.2f} ± {100 * half:.2f} %"
    return f"{interval.mean:.3g} ± {half:.2g}"
