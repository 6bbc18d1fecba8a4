"""What is drawn in a report: scores over adaptation steps, metrics over training, a memory over a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from metarl.report.drawing import HEIGHT, Figure, Key, on_axis, panel
from metarl.scores.plots import COLORS, MARKERS, Curves, arms, draw_curves

MOST_POINTS = 400
"""Of a curve in a page."""
MANY_POINTS = 60
"""From so many on, what is easy to see is the mean of neighbours."""


def scores_figure(title: str, measure: str, axis: str, curves: Curves, numbers: Mapping[str, int]) -> Figure:
    """One measure of policies that do not adapt, with 95 % intervals, one below the other."""
    with panel(title, height=0.7 + 0.35 * len(curves)) as (axes, drawn):
        for row, (name, (interval, *_)) in enumerate(curves.items()):
            axes.errorbar(
                interval[0],
                -row,
                xerr=arms([interval]),
                color=COLORS[numbers[name] % len(COLORS)],
                marker=MARKERS[numbers[name] % len(MARKERS)],
                capsize=4,
            )
        axes.set(xlabel=on_axis(axis), yticks=[], ylim=(-len(curves) + 0.4, 0.6))
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.15)
        if measure.startswith("success"):
            axes.set_xlim(-0.04, 1.04)
    return Figure(title, drawn[0], tuple(Key(numbers[name], name) for name in curves))


def classes_figure(title: str, means: Mapping[str, float], axis: str) -> Figure:
    """A bar for each class of tasks."""
    with panel(title, height=0.6 + 0.22 * len(means)) as (axes, drawn):
        axes.barh(range(len(means)), list(means.values()), color=COLORS[0], height=0.7)
        axes.set(xlabel=on_axis(axis), yticks=range(len(means)))
        axes.set_yticklabels(map(on_axis, means))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.15)
        axes.tick_params(axis="y", length=0)
    return Figure(title, drawn[0])


Line = tuple[Sequence[float], Sequence[float]]
"""x and y."""


def adaptation_figure(
    title: str, measure: str, axis: str, steps: Sequence[int], curves: Curves, numbers: Mapping[str, int]
) -> Figure:
    """One measure over adaptation steps, with 95 % intervals. `numbers`: by curve, that of its colour."""
    with panel(title) as (axes, drawn):
        draw_curves(axes, curves, numbers=numbers)
        axes.set(xlabel="adaptation steps", ylabel=on_axis(axis), xticks=range(len(steps)))
        axes.set_xticklabels([str(step) for step in steps])
        axes.set_xlim(-0.4, len(steps) - 0.6)
        axes.grid(alpha=0.15)
        if measure.startswith("success"):
            axes.set_ylim(-0.04, 1.04)
        if measure == "mse":
            axes.set_yscale("log")
    return Figure(title, drawn[0], tuple(Key(numbers[name], name) for name in curves))


def training_figure(metric: str, lines: Mapping[str, Line], *, over: str) -> Figure:
    """A metric over env steps or iterations, a line for each of several experiments."""
    with panel(f"{metric} in training", height=0.8 * HEIGHT) as (axes, drawn):
        from matplotlib.ticker import EngFormatter

        for number, (x, y) in enumerate(lines.values()):
            stride = -(-len(x) // MOST_POINTS)
            color = COLORS[number % len(COLORS)]
            if len(x) < MANY_POINTS:
                axes.plot(x, y, color=color)
                continue
            axes.plot(x[::stride], y[::stride], color=color, alpha=0.35, linewidth=1.0)
            axes.plot(x[::stride], _smooth(np.asarray(y))[::stride], color=color)
        axes.set(xlabel=on_axis(over))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(alpha=0.15)
    keys = tuple(Key(number, name) for number, name in enumerate(lines)) if len(lines) > 1 else ()
    return Figure(metric, drawn[0], keys)


def _smooth(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of a twentieth of the points around each; NaN is left out."""
    half = len(y) // 40
    known = np.isfinite(y)
    sums, counts = np.cumsum(np.where(known, y, 0.0)), np.cumsum(known)
    first = np.maximum(np.arange(len(y)) - half, 0)
    last = np.minimum(np.arange(len(y)) + half, len(y) - 1)
    total = sums[last] - sums[first] + np.where(known[first], y[first], 0.0)
    count = counts[last] - counts[first] + known[first]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def memory_figure(memories: Mapping[str, NDArray[np.float64]], ends: Sequence[int]) -> Figure:
    """How far each task's memory (T, S) is from the mean of all tasks' at the same step, by task.

    `ends`: steps at which an episode ended. Tasks that a memory does not tell apart stay together.
    """
    title = "memory: distance from the mean of the tasks shown"
    length = min(map(len, memories.values()))
    stacked = np.stack([memory[:length] for memory in memories.values()])
    apart = np.linalg.norm(stacked - stacked.mean(0), axis=-1)
    stride = -(-length // MOST_POINTS)
    with panel(title) as (axes, drawn):
        for end in ends:
            axes.axvline(end, color=COLORS[0], alpha=0.25, linewidth=1.0)
        for number, row in enumerate(apart):
            axes.plot(np.arange(1, length + 1)[::stride], row[::stride], color=COLORS[number % len(COLORS)])
        axes.set(xlabel="env steps of the trial (lines: an episode ends)", ylabel="distance")
        axes.grid(alpha=0.15)
    return Figure(title, drawn[0], tuple(Key(number, name) for number, name in enumerate(memories)))
