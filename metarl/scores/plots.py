"""Pictures of a run: how it adapts to new tasks, how it learned. matplotlib is loaded when one is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import UserError
from metarl.files import replace_file
from metarl.runs.log import EVALUATED_AT, env_steps_of
from metarl.text import label as text_label

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Curves = Mapping[str, Sequence[tuple[float, float, float]]]
"""By label, one (mean, low, high) for each adaptation step from 0; low and high bound the 95 % interval."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P")


PLOTTED = {
    "return": "return per episode (undiscounted)",
    "success_any": "success rate",
    "accuracy": "accuracy",
    "mse": "mean squared error",
}
"""Measures that are drawn, as their axes are labelled."""


def plot_adaptation(path: Path, panels: Mapping[str, tuple[str, Sequence[int], Curves]], *, title: str = "") -> None:
    """A panel for each label: (measure, numbers of steps, curves), with 95 % intervals as bars."""
    figure = new_figure(width=5.2 * max(len(panels), 1) if len(panels) > 1 else 6.5, height=4.2)
    axes = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    for panel, (label, (measure, steps, curves)) in zip(axes, panels.items(), strict=False):
        draw_curves(panel, curves)
        panel.set(xlabel="adaptation steps", ylabel=label, xticks=range(len(steps)))
        panel.set_xticklabels([str(step) for step in steps])
        if measure.startswith("success"):
            panel.set_ylim(-0.04, 1.04)
        if measure == "mse":
            panel.set_yscale("log")
    figure.suptitle(title or "Adaptation to tasks never seen (mean and 95 % interval)")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(max(len(handles[1]), 1), 2), frameon=False)
    save_figure(figure, path)


def plot_training(path: Path, rows: Sequence[Mapping[str, Any]], *, metrics: Sequence[str] = ()) -> None:
    """One panel a metric over env steps (over iterations if none was counted), from rows of metrics.jsonl.

    Without `metrics`, the first six that the rows hold.
    """
    fixed = ("iteration", "env_steps", "seconds", EVALUATED_AT)
    known = list(dict.fromkeys(name for row in rows for name in row if name not in fixed))
    shown = [name for name in metrics if name in known] if metrics else known[:6]
    if not shown:
        raise UserError(f"no metric to draw in {path}; the run has not finished an iteration")
    over_steps = any(row.get("env_steps") for row in rows)
    columns = 2 if len(shown) == 4 else min(len(shown), 3)
    lines = math.ceil(len(shown) / columns)
    figure = new_figure(width=4.2 * columns, height=3.0 * lines)
    from matplotlib.ticker import EngFormatter  # after new_figure, which says so if matplotlib is missing

    panels = figure.subplots(lines, columns, squeeze=False).flat
    for panel, name in zip(panels, shown, strict=False):
        x = [env_steps_of(row, name) if over_steps else row["iteration"] for row in rows]
        values = [row.get(name, math.nan) for row in rows]
        panel.plot(x, values, color=COLORS[0], marker="." if len(rows) < 30 else "")
        panel.set(xlabel="env steps" if over_steps else "iteration", ylabel=name)
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))  # 2M, not 2 and a 1e6 somewhere else
    for panel in list(figure.axes)[len(shown) :]:
        panel.remove()
    save_figure(figure, path)


def plot_comparison(
    path: Path,
    adaptation: Curves,
    training: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    measure: str,
    metric: str,
) -> None:
    """Held-out scores by adaptation step, with intervals, beside a training metric over env steps."""
    figure = new_figure(width=10.0, height=4.4)
    from matplotlib.ticker import EngFormatter  # after new_figure, which says so if matplotlib is missing

    left, right = figure.subplots(1, 2)
    draw_curves(left, adaptation)
    left.set(xlabel="adaptation steps", ylabel=f"{measure}: IQM and 95 % interval", title="held-out tasks")
    for index, label in enumerate(adaptation):
        if label in training:
            right.plot(*training[label], color=COLORS[index % len(COLORS)])
    right.set(xlabel="env steps", ylabel=metric, title="meta-training (mean over seeds)")
    right.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


def plot_sequence(
    path: Path, curves: Mapping[str, tuple[Array, Array]], *, names: Sequence[str], steps_per_task: int
) -> None:
    """Each task's success over env steps, of runs by label: times (E,) and success (E, N). Shaded: its own training."""
    columns = 1 if len(names) <= 5 else 2
    lines = math.ceil((1 + len(names)) / columns)
    figure = new_figure(width=6.5 * columns, height=1.4 * lines + 0.8)
    from matplotlib.ticker import EngFormatter  # after new_figure, which says so if matplotlib is missing

    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).T.flat
    for place, (panel, title) in enumerate(zip(panels, ("average of all tasks", *names), strict=False)):
        for index, (label, (times, success)) in enumerate(curves.items()):
            values = success.mean(1) if place == 0 else success[:, place - 1]
            panel.plot(times, values, color=COLORS[index % len(COLORS)], label=text_label(label))
        if place:
            panel.axvspan((place - 1) * steps_per_task, place * steps_per_task, color="0.9")
        panel.set_title(text_label(title), loc="left", fontsize="medium")
        panel.set_ylim(-0.04, 1.04)
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    for panel in list(figure.axes)[1 + len(names) :]:
        panel.remove()
    figure.supxlabel("env steps (shaded: the task is trained on)")
    figure.supylabel("success, any step")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    save_figure(figure, path)


def draw_curves(axes: Axes, curves: Curves, *, numbers: Mapping[str, int] | None = None) -> None:
    """`numbers`: by curve, that of its colour and marker; their order if not given."""
    from matplotlib.ticker import MaxNLocator

    for index, (name, points) in enumerate(curves.items()):
        number = index if numbers is None else numbers[name]
        offset = 0.06 * (index - (len(curves) - 1) / 2)  # side by side, or the bars hide each other
        means = [mean for mean, _, _ in points]
        axes.errorbar(
            [step + offset for step in range(len(points))],
            means,
            yerr=arms(points),
            label=text_label(name),
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            capsize=4,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def arms(intervals: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """How far each (mean, low, high) reaches below and above its mean, as error bars are drawn."""
    below = [max(mean - low, 0.0) for mean, low, _ in intervals]
    return below, [max(high - mean, 0.0) for mean, _, high in intervals]


def new_figure(*, width: float, height: float) -> Figure:
    """A figure of its own, without pyplot's global state; it draws without a display."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is missing; pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write it whole, in the format that the path's ending says. Raises UserError."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    try:
        figure.savefig(content, dpi=150, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:  # an ending that is no kind of picture
        raise UserError(f"cannot draw {path}: {error}; choose an ending such as .png") from error
    try:
        replace_file(path, content.getvalue())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free space there, or choose another place") from error
