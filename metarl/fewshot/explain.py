"""One held-out task looked at: what a learner answers, what it went by, and what adaptation changed in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.evaluation import of_classes, score_output
from metarl.fewshot.examples import Examples
from metarl.fewshot.interpret import (
    attention_map,
    linear_cka,
    nearest_supports,
    plot_answers,
    plot_attention,
    plot_fit,
    plot_layers,
    plot_nearest,
    relative_change,
)
from metarl.fewshot.learner import FewShotBehaviour, Mode
from metarl.fewshot.methods.fast_weights import FastWeights
from metarl.fewshot.methods.matching import Attention, FullContext
from metarl.fewshot.methods.metric import MetricBehaviour
from metarl.fewshot.nets.with_head import WithHead
from metarl.types import Params, TaskData


@dataclass(frozen=True)
class ClassAnswers:
    """How the queries of one class were answered."""

    name: str
    queries: int
    right: int
    taken_for: tuple[tuple[str, int], ...]
    """Other classes that were named, and how often, the most frequent first."""


@dataclass(frozen=True)
class Explanation:
    """Of one task by one behaviour."""

    data: TaskData
    mode: Mode
    phi: Params
    """After the last step."""
    outputs: dict[int, Tensor]
    """Class scores (Q, ways) or values (Q, O) after each number of inner steps; metric methods have one."""
    changes: dict[str, float] | None
    """Relative change of each layer's weights, of methods with an inner loop."""
    features_cka: float | None
    """Similarity of the features before and after adaptation, of support and queries (`linear_cka`)."""

    @property
    def scores(self) -> dict[int, float]:
        """Accuracy, or squared error, after each number of steps."""
        return {steps: score_output(output, self.data.query.y) for steps, output in self.outputs.items()}

    @property
    def answers(self) -> Tensor:
        """(Q,) classes named after the last step."""
        return self.outputs[max(self.outputs)].argmax(-1)


def explain(behaviour: FewShotBehaviour, data: TaskData, *, mode: Mode = "inductive") -> Explanation:
    """Adapts the learner to the task from its prior; theta is untouched."""
    curve = behaviour.adapt_curve([data.supports[0]])
    outputs = {steps: behaviour.predict(phis, [data.query.x], mode=mode)[0] for steps, phis in curve.items()}
    outputs = {steps: of_classes(output, data) for steps, output in outputs.items()}
    phi: Any = curve[max(curve)][0]
    changes, cka = None, None
    if isinstance(behaviour, FastWeights):
        prior = behaviour.prior()
        changes = relative_change(prior, phi)
        cka = _features_cka(behaviour, prior, phi, torch.cat([data.supports[0].x, data.query.x]))
    return Explanation(data, mode, phi, outputs, changes, cka)


def _features_cka(behaviour: FastWeights, before: Params, after: Params, x: Tensor) -> float | None:
    """None for a net without a head of its own, whose features are not known."""
    if not isinstance(behaviour.net, WithHead):
        return None
    body, weights = behaviour.net.body, behaviour.adaptation.weights
    with torch.no_grad():
        features = [body.apply(weights(phi), x.to(behaviour.device))[0].cpu() for phi in (before, after)]
    return linear_cka(*features)


def answers_by_class(explanation: Explanation, names: Mapping[int, str]) -> list[ClassAnswers]:
    """`names` of the task's classes 0..ways-1. Raises UserError for a regression."""
    y = explanation.data.query.y
    if y.is_floating_point():
        raise UserError("a regression has no classes; see the scores or the picture of the fit")
    table = []
    for label in sorted(set(y.tolist())):
        named = Counter(explanation.answers[y == label].tolist())
        right = named.pop(label, 0)
        others = tuple((names[other], count) for other, count in named.most_common())
        table.append(ClassAnswers(names[label], int((y == label).sum()), right, others))
    return table


def draw(
    explanation: Explanation,
    behaviour: FewShotBehaviour,
    out: Path,
    *,
    queries: int = 10,
    names: Mapping[int, str] | None = None,
) -> list[Path]:
    """Writes the pictures that the learner and the data allow, with so many queries at most; their paths.

    answers.png of images, layers.png of methods with an inner loop, attention.png of Matching networks, nearest.png of
    metric methods, both for images, and fit.png of a regression from one number to one.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = []
    if explanation.data.query.x.dim() == 4 and not explanation.data.query.y.is_floating_point():
        drawn.append(out / "answers.png")
        called = None if names is None else [names[label] for label in sorted(names)]
        plot_answers(drawn[-1], explanation.data.supports[0], explanation.data.query, explanation.answers, names=called)
    if explanation.changes is not None:
        drawn.append(out / "layers.png")
        plot_layers(drawn[-1], explanation.changes)
    support, query = explanation.data.supports[0], explanation.data.query
    if isinstance(behaviour, MetricBehaviour) and support.x.dim() == 4:
        shown = _spread(query, queries)
        x = query.x[shown]
        if isinstance(behaviour.head, Attention | FullContext):
            drawn.append(out / "attention.png")
            plot_attention(drawn[-1], attention_map(behaviour, explanation.phi, x), support=support.x, queries=x)
        drawn.append(out / "nearest.png")
        correct = (explanation.answers == query.y)[shown].tolist()
        rows = nearest_supports(behaviour, explanation.phi, x)
        plot_nearest(drawn[-1], rows, support=support.x, queries=x, correct=correct)
    if query.y.is_floating_point() and support.x.shape[1:] == support.y.shape[1:] == (1,):
        drawn.append(out / "fit.png")
        plot_fit(drawn[-1], explanation.outputs, support=support, query=query)
    return drawn


def _spread(query: Examples, count: int) -> np.ndarray:
    """Rows of at most `count` queries from the first to the last, which lie class by class."""
    return np.unique(np.linspace(0, len(query.x) - 1, min(count, len(query.x))).round().astype(int))
