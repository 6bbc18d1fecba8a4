"""What adaptation did: which layers moved, by how much, and which support examples a query resembles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.examples import Examples, count_ways
from metarl.fewshot.methods.matching import Attention, FullContext
from metarl.fewshot.methods.metric import MetricBehaviour
from metarl.scores.plots import COLORS, new_figure, save_figure
from metarl.text import label as text_label
from metarl.types import Params

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SHOTS, _MOST_QUERIES = 3, 5
"""Images of a class in a picture of answers."""
_LONGEST_NAME = 14


def relative_change(before: Params, after: Params) -> dict[str, float]:
    """|after - before| / |before| of each layer (names up to the last dot), of weights that both have.

    A layer that starts from 0 has infinity, or 0 if it stayed there.
    """
    layers: dict[str, list[str]] = {}
    for name in before:
        if name in after:
            layers.setdefault(name.rpartition(".")[0] or name, []).append(name)
    changes = {}
    for layer, names in layers.items():
        moved = sum(float((after[n] - before[n]).square().sum()) for n in names) ** 0.5
        size = sum(float(before[n].square().sum()) for n in names) ** 0.5
        changes[layer] = moved / size if size > 0 else (float("inf") if moved > 0 else 0.0)
    return changes


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Similarity of two representations (n, p) and (n, q) of the same n inputs (Kornblith et al. 2019, eq. 3).

    1: equal up to rotation and scale; near 0: unrelated.
    """
    a, b = (x.flatten(1).double() - x.flatten(1).double().mean(0) for x in (a, b))
    cross = (a.T @ b).square().sum()
    return float(cross / ((a.T @ a).norm() * (b.T @ b).norm()).clamp(min=1e-300))


def attention_map(behaviour: MetricBehaviour, phi: Params, queries: Tensor) -> np.ndarray:
    """Share of each support example in a Matching network's answer to each query (Q, ...), (Q, S).

    Raises UserError for another method.
    """
    if not isinstance(behaviour.head, (Attention, FullContext)):
        raise UserError(f"{type(behaviour.head).__name__} has no attention over the support set; use matching")
    with torch.no_grad():
        embedded = behaviour.features(queries).to(behaviour.device)
        kept = {name: p.unsqueeze(0).to(behaviour.device) for name, p in phi.items() if name in ("support", "one_hot")}
        compare = behaviour.compare_params()
        return behaviour.head.attention(compare, kept, embedded.unsqueeze(0))[0].cpu().numpy()


def nearest_supports(behaviour: MetricBehaviour, phi: Params, queries: Tensor, *, count: int = 3) -> np.ndarray:
    """Rows of the support set nearest to each query as the method's head has it, best first, (Q, count).

    The head scores each example as a class of its own, so that of one shot the first is of the class that is answered.
    """
    size = len(phi["support_x"])
    features = behaviour.features(torch.cat([phi["support_x"], queries])).to(behaviour.device).unsqueeze(0)
    compare, each = behaviour.compare_params(), torch.arange(size, device=behaviour.device).unsqueeze(0)
    with torch.no_grad():
        summary = behaviour.head.condense(compare, features[:, :size], each, size)
        scores = behaviour.head.scores(compare, summary, features[:, size:])[0]
    return scores.topk(min(count, size), dim=1).indices.cpu().numpy()


def plot_attention(path: Path, weights: np.ndarray, *, support: Tensor, queries: Tensor) -> None:
    """The attention map with the support images (S, C, H, W) above and the queries beside it."""
    num_queries, num_support = weights.shape
    cell = min(0.8, 24 / (num_support + 2))  # inches; a wide support set is drawn smaller
    figure = new_figure(width=cell * (num_support + 2), height=cell * (num_queries + 1))
    grid = figure.add_gridspec(num_queries + 1, num_support + 1)
    for s in range(num_support):
        _draw_image(figure.add_subplot(grid[0, s + 1]), support[s])
    for q in range(num_queries):
        _draw_image(figure.add_subplot(grid[q + 1, 0]), queries[q])
    axes = figure.add_subplot(grid[1:, 1:])
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for q in range(num_queries):
        for s in range(num_support):
            if weights[q, s] >= 0.05:
                color = "white" if weights[q, s] > 0.5 else "black"
                axes.text(s, q, f"{weights[q, s]:.2f}", ha="center", va="center", fontsize=7, color=color)
    axes.set(xticks=[], yticks=[], xlabel="attention of each query (rows) to each support example (columns)")
    save_figure(figure, path)


def plot_nearest(
    path: Path, rows: np.ndarray, *, support: Tensor, queries: Tensor, correct: Sequence[bool] | None = None
) -> None:
    """A row a query: the query, then its nearest support images; a wrong answer's title is red."""
    num_queries, count = rows.shape
    figure = new_figure(width=0.9 * (count + 1), height=0.95 * num_queries + 0.4)
    panels = figure.subplots(num_queries, count + 1, squeeze=False)
    for q in range(num_queries):
        _draw_image(panels[q][0], queries[q])
        wrong = correct is not None and not correct[q]
        panels[q][0].set_title("query, wrong" if wrong else "query", fontsize=7, color="#d55e00" if wrong else "black")
        for k, row in enumerate(rows[q]):
            _draw_image(panels[q][k + 1], support[int(row)])
            panels[q][k + 1].set_title(f"{k + 1}.", fontsize=7)
    save_figure(figure, path)


def plot_answers(
    path: Path, support: Examples, query: Examples, answers: Tensor, *, names: Sequence[str] | None = None
) -> None:
    """A row a class of images: what was shown of it, then queries of it; what was taken for another says so in red.

    `names` of the classes 0..ways-1; their numbers if not given.
    """
    ways = count_ways(support.y)
    names = names or [f"class {label}" for label in range(ways)]
    shots = min(_MOST_SHOTS, int((support.y == 0).sum()))
    figure = new_figure(width=0.8 * (shots + _MOST_QUERIES), height=0.95 * ways + 0.3)
    panels = figure.subplots(ways, shots + _MOST_QUERIES, squeeze=False)
    for label in range(ways):
        shown = support.x[support.y == label][:shots]
        asked, answered = query.x[query.y == label], answers[query.y == label].tolist()
        for axes in panels[label]:
            axes.set_axis_off()
        for axes, image in zip(panels[label], shown, strict=False):
            axes.set_axis_on()
            _draw_image(axes, image)
            axes.set_title("shown", fontsize=7, color="#0072b2")
        for axes, image, answer in zip(panels[label][shots:], asked, answered, strict=False):
            axes.set_axis_on()
            _draw_image(axes, image)
            wrong = answer != label
            title = f"as {text_label(names[answer])}"[:_LONGEST_NAME] if wrong else "right"
            axes.set_title(title, fontsize=7, color="#d55e00" if wrong else "black")
        panels[label][0].set_ylabel(text_label(names[label])[:_LONGEST_NAME], fontsize=7)
    save_figure(figure, path)


def plot_fit(path: Path, outputs: Mapping[int, Tensor], *, support: Examples, query: Examples) -> None:
    """A regression from one number to one: the predictions (Q, 1) after each number of inner steps, and the truth."""
    figure = new_figure(width=6.5, height=4.2)
    axes = figure.subplots()
    order = query.x.flatten().argsort()
    x = query.x.flatten()[order]
    axes.plot(x, query.y.flatten()[order], color="black", label="truth")
    for index, (steps, output) in enumerate(outputs.items()):
        color = COLORS[index % len(COLORS)]
        label = f"{steps} step{'s' if steps != 1 else ''}"
        axes.plot(x, output.flatten()[order], color=color, linestyle="--", label=label)
    axes.plot(support.x.flatten(), support.y.flatten(), "k^", label="support set")
    axes.set(xlabel="x", ylabel="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


def plot_layers(path: Path, changes: dict[str, float]) -> None:
    """Relative change of each layer as bars, in the net's order; none for a layer that was 0 before."""
    figure = new_figure(width=6.0, height=0.4 * len(changes) + 1.2)
    axes = figure.subplots()
    names = list(changes)[::-1]
    from_zero = [math.isinf(changes[name]) for name in names]
    labels = [f"{name} (from 0)" if zero else name for name, zero in zip(names, from_zero, strict=True)]
    bars = [0.0 if zero else changes[name] for name, zero in zip(names, from_zero, strict=True)]
    axes.barh(labels, bars, color="#0072b2")
    axes.set(xlabel="|change| / |weights| by adaptation")
    save_figure(figure, path)


def _draw_image(axes: Axes, image: Tensor) -> None:
    """Of one channel or three; of any other number their mean. What is not within [0, 1] is scaled to it."""
    array = image.numpy()
    if array.shape[0] not in (1, 3):
        array = array.mean(0, keepdims=True)
    if array.min() < 0 or array.max() > 1:
        array = (array - array.min()) / max(float(array.max() - array.min()), 1e-12)
    axes.imshow(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0), cmap="gray_r")
    axes.set(xticks=[], yticks=[])
