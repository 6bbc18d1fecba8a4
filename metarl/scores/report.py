"""What a person sees at the end of a run, of any kind: a table, a picture and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from metarl.files import replace_file
from metarl.runs.versions import environment
from metarl.scores.format import CONDITIONS, HEADINGS, cell
from metarl.scores.plots import PLOTTED, plot_adaptation
from metarl.scores.table import Evaluation, Scores
from metarl.text import cell as plain
from metarl.text import printable

Results = Mapping[str, Evaluation]
"""Evaluations by the name of the policy, for the same tasks."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How the evaluations of one kind of experiment are shown."""

    columns: tuple[str, ...]
    """Metrics that the console shows during training; metrics.jsonl has them all."""
    condition: str
    """What differs between the conditions: 'actions', or 'queries'."""
    measures: tuple[str, ...] = ()
    """All that its evaluations may score; empty where nobody knows before the first."""
    note: str = ""
    """Behind the title, as where the tasks are not those of the test."""

    def print_table(self, results: Results, *, title: str, console: Console | None = None) -> None:
        """A row for each policy, suite, condition and number of steps: mean and 95 % interval over tasks."""
        console = console or Console()
        for measures, suites in _tables(results).items():
            # tight enough for 80 columns even where all is 100% [100, 100]
            table = Table(
                title=plain(title + self.note), box=None, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
            )
            several = any(suites_of != {""} for suites_of in map(set, suites.values()))
            for heading in ("policy", *(["suite"] if several else []), self.condition):
                table.add_column(heading, no_wrap=True)
            for heading in ("steps", *(HEADINGS.get(measure, measure) for measure in measures)):
                table.add_column(heading, justify="right", no_wrap=True)
            for policy, names in suites.items():
                for suite in names:
                    for row in _rows(results[policy].suites[suite], measures):
                        table.add_row(*map(plain, (policy, *([suite] if several else []), *row)))
                table.add_row()
            console.print(table)
        for policy, evaluation in results.items():
            for line in _by_class(policy, evaluation, self.condition):
                console.print(printable(line), markup=False, highlight=False)
            for note in evaluation.notes:
                console.print(printable(f"{policy}: {note}"), markup=False)

    def plot(self, path: Path, results: Results) -> None:
        """A panel for each suite and measure: the score over adaptation steps."""
        panels: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {}
        for measures, suites in _tables(results).items():
            for measure in (measure for measure in measures if measure in PLOTTED):
                for policy, names in suites.items():
                    for suite in names:
                        scores = results[policy].suites[suite]
                        title = printable(", ".join(filter(None, (suite, PLOTTED[measure]))))
                        _, _, curves = panels.setdefault(title, (measure, scores.steps, {}))
                        for condition in scores.conditions:
                            label = f"{policy}, {CONDITIONS.get(condition, condition)} {self.condition}"
                            curves[label] = scores.curve(condition, measure)
        plot_adaptation(path, panels, title=f"Held-out tasks{self.note} (mean and 95 % interval)")


def save_report(directory: Path, report: Report, results: Results, *, extra: Mapping[str, Any]) -> None:
    """evaluation.json (raw outcomes, intervals, versions) and adaptation.png."""
    content = {
        **extra,
        "environment": environment(),
        "policies": {name: evaluation.to_json() for name, evaluation in results.items()},
    }
    replace_file(directory / "evaluation.json", json.dumps(content).encode())
    report.plot(directory / "adaptation.png", results)


def _tables(results: Results) -> dict[tuple[str, ...], dict[str, list[str]]]:
    """Suites by policy that have the same measures, one table each; success only where it is measured."""
    succeeds = any(_measures_success(evaluation) for evaluation in results.values())
    tables: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for policy, evaluation in results.items():
        for suite, scores in evaluation.suites.items():
            measures = tuple(m for m in scores.measures if succeeds or not m.startswith("success"))
            tables.setdefault(measures, {}).setdefault(policy, []).append(suite)
    return tables


def _measures_success(evaluation: Evaluation) -> bool:
    """As the tasks say; of tasks that do not, whether any episode succeeded."""
    said = evaluation.record.get("measures_success")
    if said is not None:
        return said
    return any(s.values["success_any"].any() for s in evaluation.suites.values() if "success_any" in s.values)


def _by_class(policy: str, evaluation: Evaluation, condition_kind: str) -> Iterator[str]:
    """Each class's success after the last step, where there are several; and what the intervals above are of."""
    scores = evaluation.suites.get("")
    if scores is None or len(set(scores.strata)) < 2 or "success_any" not in scores.values:
        return
    classes, labels = list(dict.fromkeys(scores.strata)), np.array(scores.strata)
    for condition in scores.conditions:
        last = scores.of(condition, "success_any")[-1]
        shares = ", ".join(f"{name} {last[labels == name].mean():.0%}" for name in classes)
        yield f"{policy}, {CONDITIONS.get(condition, condition)} {condition_kind}, success at any step: {shares}"
    of = f"goals of these {len(classes)} classes under this theta, not of other ones"
    if scores.tasks_are_few:
        of = f"episodes of these {len(scores.tasks)} tasks under this theta"
    yield f"{policy}: intervals are of other {of}"


def _rows(scores: Scores, measures: tuple[str, ...]) -> list[list[str]]:
    rows = []
    for condition in scores.conditions:
        curves = {measure: scores.curve(condition, measure) for measure in measures}
        for k, step in enumerate(scores.steps):
            cells = [cell(measure, curves[measure][k]) for measure in measures]
            rows.append([CONDITIONS.get(condition, condition), str(step), *cells])
    return rows
