"""What a person sees at the end of a run: a table, a picture and a JSON file; here those of meta-RL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from metarl.files import replace_file
from metarl.runs.versions import environment
from metarl.scores.plots import plot_adaptation
from metarl.scores.rl import EvaluationResult, Measure, Mode
from metarl.text import cell, printable
from metarl.types import Metrics


class Evaluation(Protocol):
    """Scores of one learner on held-out tasks."""

    def metrics(self) -> Metrics:
        """`eval/...` means, for the log."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Summary and raw outcomes; "kind" tells the results table how to read them, meta-RL's have none."""
        ...


class Report(Protocol):
    """How the evaluations of one kind of experiment are shown; `results` is by the name of the policy."""

    @property
    def columns(self) -> Sequence[str]:
        """Metrics that the console shows; metrics.jsonl has them all."""
        ...

    def print_table(self, results: Mapping[str, Any], *, title: str, console: Console | None = None) -> None: ...

    def plot(self, path: Path, results: Mapping[str, Any]) -> None:
        """A picture of adaptation."""
        ...


TITLES: Mapping[Measure, str] = {
    "return": "return",
    "success_any": "success\nany step",
    "success_last": "success\nlast step",
}
ACTIONS: Mapping[Mode, str] = {"stochastic": "sampled", "deterministic": "mean"}

Results = Mapping[str, EvaluationResult]
"""Evaluations by the name of the policy, for one set of tasks."""


class AdaptationReport:
    """Implements `Report` for meta-RL: return and success after 0, 1, ... adaptation steps."""

    columns = ("return/pre", "return/post", "success/pre", "success/post", "kl")

    def print_table(self, results: Results, *, title: str, console: Console | None = None) -> None:
        """One row a policy, kind of action and number of adaptation steps: mean and 95 % interval over tasks."""
        # tight enough for 80 columns even where all is 100% [100, 100]
        table = Table(title=cell(title), box=None, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
        for heading in ("policy", "actions", "steps"):
            table.add_column(heading, no_wrap=True)
        measures = _measures(results)
        for measure in measures:
            table.add_column(TITLES[measure], justify="right", no_wrap=True)
        for name, result in results.items():
            for mode in result.outcomes:
                curves = {measure: result.curve(mode, measure) for measure in measures}
                for k in range(len(curves["return"])):
                    cells = [_cell(measure, curves[measure][k]) for measure in measures]
                    table.add_row(name, ACTIONS[mode], str(k), *cells)
                table.add_row()
        console = console or Console()
        console.print(table)
        for name, result in results.items():
            if result.dropped_episodes:
                console.print(f"{name}: {result.dropped_episodes} test episodes had a NaN and are left out")
            if (rest := result.without_trained()) is not None:
                scores = ", ".join(
                    f"{ACTIONS[mode]} {_cell('success_any', rest.curve(mode, 'success_any')[-1])}"
                    for mode in rest.outcomes
                )
                left_out = printable(", ".join(result.also_without))
                console.print(f"{name}, without {left_out} (trained on with other goals): {scores}", markup=False)
            if result.first_come:
                scores = ", ".join(f"{ACTIONS[mode]} {values[-1]:.0%}" for mode, values in result.first_come.items())
                console.print(f"{name}, counted as metaworld 3.1.1 does (first come, biased upwards): {scores}")

    def plot(self, path: Path, results: Results) -> None:
        returns, success = {}, {}
        for name, result in results.items():
            for mode in result.outcomes:
                label = f"{name}, {ACTIONS[mode]} actions"
                returns[label] = result.curve(mode, "return")
                if "success_any" in _measures(results):
                    success[label] = result.curve(mode, "success_any")
        plot_adaptation(path, returns=returns, success=success)


def save_report(directory: Path, report: Report, results: Mapping[str, Any], *, extra: Mapping[str, Any]) -> None:
    """evaluation.json (raw outcomes, intervals, versions) and adaptation.png."""
    content = {
        **extra,
        "environment": environment(),
        "policies": {name: result.to_json() for name, result in results.items()},
    }
    replace_file(directory / "evaluation.json", json.dumps(content).encode())
    report.plot(directory / "adaptation.png", results)


def _measures(results: Results) -> list[Measure]:
    """Success columns only where some task reports success at all."""
    successful = any(r.outcomes[mode]["success_any"].any() for r in results.values() for mode in r.outcomes)
    return ["return", "success_any", "success_last"] if successful else ["return"]


def _cell(measure: Measure, point: tuple[float, float, float]) -> str:
    mean, low, high = point
    if measure == "return":
        digits = 0 if max(abs(low), abs(high)) >= 100 else 1
        return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{mean:.0%} [{100 * low:.0f}, {100 * high:.0f}]"
