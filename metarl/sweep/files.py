"""What a sweep leaves at its end, for a spreadsheet, a paper and the eye: runs.csv, comparison.csv, .tex and .png."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.files import inside, replace_file
from metarl.records.compare import POLICY
from metarl.scores.format import number
from metarl.scores.plots import COLORS, arms, new_figure, save_figure
from metarl.sweep.grid import Run, short_names
from metarl.sweep.plan import Cost
from metarl.sweep.results import Compared, Done, last_of
from metarl.text import csv_cell, label

RUNS, TABLE, LATEX, FIGURE = "runs.csv", "comparison.csv", "comparison.tex", "comparison.png"
INTERVALS = ("mean", "iqm", "better")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def check_places(sweep: Path) -> None:
    """Raises UserError, before the first run, where one of these files could not be put at the last one's end."""
    for name in (RUNS, TABLE, LATEX, FIGURE):
        if inside(sweep, name).is_dir():
            raise UserError(f"{sweep / name} is a directory, where the sweep puts a file; move it away")


def write_runs(
    sweep: Path, runs: Sequence[Run], done: Done, costs: Mapping[str, Cost], failed: Mapping[Run, str]
) -> None:
    """A line a run: its settings, what became of it, its cost, and its mean scores after the last step."""
    scores = {run: _last_scores(seed) for run, seed in done.items()}
    columns = list(dict.fromkeys(name for found in scores.values() for name in found))
    swept = [name for name, _ in runs[0].setting.values]
    rows = [["setting", *swept, "seed", "state", "seconds", "peak MiB", *columns]]
    for run in runs:
        cost = costs.get(run.name)
        spent = ["", ""] if cost is None else [f"{cost.seconds:.1f}", str(cost.peak_bytes >> 20)]
        state = "done" if run in done else f"failed: {failed[run]}" if run in failed else "not run"
        values = [text for _, text in run.setting.values]
        means = [repr(scores[run][name]) if name in scores.get(run, {}) else "" for name in columns]
        rows.append([run.setting.name, *values, str(run.seed), state, *spent, *means])
    _write_csv(inside(sweep, RUNS), rows)


def _last_scores(seed: Any) -> dict[str, float]:
    """By suite, kind of action and measure."""
    return {
        "/".join(filter(None, (suite, condition, measure))): float(scores.of(condition, measure)[-1].mean())
        for suite, scores in seed.suites(POLICY).items()
        for condition in scores.conditions
        for measure in scores.measures
    }


def write_comparison(sweep: Path, rows: Sequence[Compared], *, measure: str, title: str) -> None:
    """`title`: which experiment and whose tasks."""
    swept = [name for name, _ in rows[0].setting.values]
    ends = [f"{name} {end}".strip() for name in INTERVALS for end in ("", "low", "high")]
    table = [["setting", *swept, "seeds", "suite", "condition", "step", "measure", *ends]]
    for row in rows:
        place = [str(row.seeds), row.suite, row.condition, str(row.step), measure]
        intervals = [interval or ("", "", "") for interval in (row.mean, row.iqm, row.better)]
        values = [text for _, text in row.setting.values]
        table.append([row.setting.name, *values, *place, *(repr(x) if x != "" else "" for i in intervals for x in i)])
    _write_csv(inside(sweep, TABLE), table)
    last = last_of(rows)
    replace_file(inside(sweep, LATEX), latex(last, measure=measure, title=title).encode())
    draw(inside(sweep, FIGURE), last, measure=measure, title=title)


def _write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_cell(value) for value in row] for row in rows)
    replace_file(path, text.getvalue().encode())


def latex(rows: Sequence[Compared], *, measure: str, title: str) -> str:
    """A table for \\usepackage{booktabs}, one line a setting."""
    short = short_names(dict(rows[0].setting.values))  # of the names alone
    headings = [*short.values(), "seeds", "mean [95\\,\\%]", "IQM [95\\,\\%]", "P(better)"]
    headings = [*map(_tex, headings[: len(short) + 1]), *headings[len(short) + 1 :]]
    lines = [f"% {_one_line(title)}", f"\\begin{{tabular}}{{{'l' * len(short)}rrrr}}", "\\toprule"]
    lines += [" & ".join(headings) + r" \\", "\\midrule"]
    for row in rows:
        cells = [_tex(text) for _, text in row.setting.values] + [str(row.seeds)]
        cells += [_interval(measure, row.mean), _interval(measure, row.iqm)]
        cells.append("" if row.better is None else "{:.2f} [{:.2f}, {:.2f}]".format(*row.better))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _interval(measure: str, interval: Sequence[float]) -> str:
    mean, low, high = (number(measure, x) for x in interval)
    return f"{mean} [{low}, {high}]"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def draw(path: Path, rows: Sequence[Compared], *, measure: str, title: str) -> None:
    """A line a setting: the interquartile mean with its interval."""
    figure = new_figure(width=8.0, height=1.4 + 0.32 * len(rows))
    axes = figure.subplots()
    places = range(len(rows))
    middles = [row.iqm for row in rows]
    axes.errorbar([m.mean for m in middles], places, xerr=arms(middles), fmt="o", color=COLORS[0], capsize=4)
    axes.set_yticks(places, [label(row.setting.name) for row in rows])
    axes.margins(y=0.5 / len(rows))
    axes.invert_yaxis()  # the first on top, as in the table
    axes.set(xlabel=f"IQM and 95 % interval; {rows[0].condition}, after {rows[0].step} step(s)")
    axes.set_title(label(title), fontsize="medium")
    save_figure(figure, path)
