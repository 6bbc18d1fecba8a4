"""How a run learnt and where its time went, from the rows of its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metarl.records.compare import Group, training_curve
from metarl.report.figures import Line, training_figure
from metarl.report.page import Section, Share, Table
from metarl.report.words import amount, duration
from metarl.scores.plots import COLORS
from metarl.scores.rl import of_class

STAGES = {"pre": "before adaptation", "post": "after"}
SHOWN = ("return", "success", "accuracy", "mse", "return/first_episode", "return/last_episode", "kl", "entropy")
"""In this order, where there are such; of those with stages, all in one figure."""
INSTEAD = ("meta_loss", "grad_norm")
"""Where hardly any of these is there."""
MOST_FIGURES = 8
MOST_CLASSES = 20
"""Of those whose success was logged by class, each in a figure of its own."""
OF_CLASS = of_class("stochastic", "")
"""How these metrics begin."""
PARTS = {"seconds/collect": "collecting", "seconds/update": "learning", "seconds/evaluate": "evaluating"}
_COUNTS = ("iteration", "env_steps")
FIXED = (*_COUNTS, "seconds")


def training_section(groups: Sequence[Group]) -> Section:
    """Metrics over meta-training."""
    known = list(dict.fromkeys(name for group in groups for rows in group.rows for row in rows for name in row))
    of_classes = [name for name in known if name.startswith(OF_CLASS)]
    evaluated = [name for name in known if name.startswith("eval/") and name.count("/") > 1 and name not in of_classes]
    shown = [name for name in SHOWN if name in known or f"{name}/post" in known] + evaluated[-2:]
    if len(shown) < 3:
        shown += [name for name in INSTEAD if name in known]
    if not shown:
        shown = [name for name in known if name not in FIXED and not name.startswith("seconds/")]
    figures = []
    for metric in [*shown[:MOST_FIGURES], *of_classes[:MOST_CLASSES]]:
        lines, over = _lines(groups, metric)
        if lines:
            figures.append(training_figure(metric, lines, over=over))
    text = ["Of several seeds the mean."] if any(len(group.seeds) > 1 for group in groups) and figures else []
    return Section(title="Training", text=text, figures=figures)


def _lines(groups: Sequence[Group], metric: str) -> tuple[dict[str, Line], str]:
    """By label, over env steps, or over iterations where none are counted; of one experiment both stages."""
    over_steps = all(any(row["env_steps"] for row in rows) for group in groups for rows in group.rows if rows)
    found = {group.label: _curve(group, metric, over_steps) for group in groups[: len(COLORS)]}
    if not any(found.values()):
        found = {group.label: _curve(group, f"{metric}/post", over_steps) for group in groups[: len(COLORS)]}
        if len(groups) == 1:
            found = {words: _curve(groups[0], f"{metric}/{stage}", over_steps) for stage, words in STAGES.items()}
    return {name: curve for name, curve in found.items() if curve}, "env steps" if over_steps else "iteration"


def _curve(group: Group, metric: str, over_steps: bool) -> Line | None:
    rows = [[row for row in of_seed if metric in row] for of_seed in group.rows]
    if not over_steps:
        rows = [[{**dict.fromkeys(_COUNTS, row["iteration"]), metric: row[metric]} for row in of] for of in rows]
    curve = training_curve(rows, metric) if all(rows) else None
    return curve if curve is not None and any(map(math.isfinite, curve[1])) else None


def time_section(groups: Sequence[Group]) -> Section:
    """The bar is of the first group."""
    rows = []
    for group in groups:
        evaluations = [seed.evaluation for seed in group.seeds]
        seconds = sum(e["training_seconds"] for e in evaluations) / len(evaluations)
        env_steps = sum(e["training_env_steps"] for e in evaluations) / len(evaluations)
        pace = f"{env_steps / seconds:,.0f} env steps/s" if env_steps and seconds else ""
        rows.append((group.label, str(len(group.seeds)), amount(evaluations[0]), duration(seconds), pace))
    logged = [row for of_seed in groups[0].rows for row in of_seed]
    trained = sum(seed.evaluation["iterations"] for seed in groups[0].seeds)
    shares = _shares(logged, logged_share=min(1.0, len(logged) / trained) if trained else 1.0)
    busy = _busy(groups[0]) if shares else ""
    text = [busy] if busy else []
    table = Table(
        ("run", "seeds", "trained for", "wall-clock", "pace"), rows, "Wall-clock of meta-training, the mean over seeds."
    )
    return Section(title="Where the time went", text=text, shares=shares, table=table)


def _shares(rows: Sequence[Mapping[str, Any]], *, logged_share: float) -> list[Share]:
    """Of all iterations, where that share of them has a row; those that were evaluated have one always."""
    sums = {name: sum(seconds for row in rows if (seconds := row.get(name, 0.0)) > 0) for name in PARTS}
    sums = {name: part if name == "seconds/evaluate" else part / logged_share for name, part in sums.items() if rows}
    total = sum(sums.values())
    if not 0 < total < math.inf:
        return []
    return [Share(PARTS[name], duration(part), part / total) for name, part in sums.items()]


def _busy(group: Group) -> str:
    rows = [row for of_seed in group.rows for row in of_seed if "seconds/workers" in row]
    collected = sum(row.get("seconds/collect", 0.0) for row in rows)
    worked = sum(row["seconds/workers"] for row in rows)
    if not (math.isfinite(worked) and 0 < worked and 0 < collected < math.inf):
        return ""
    return f"The workers stepped their environments for {duration(worked)}."
