"""Requests of no known class: how well the largest class score tells them from those that have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from metarl.errors import UserError


def confidence(scores: Tensor) -> Tensor:
    """The largest score (..., ways) -> (...): a distance, a cosine or a logit, before it is made a probability.

    A softmax would lose what counts here: a query that is far from all classes is sure of the nearest.
    """
    return scores.max(-1).values


def auroc(inside: NDArray, outside: NDArray) -> float:
    """Chance that a value of `inside` is above one of `outside`, ties counted half (Mann and Whitney 1947)."""
    is_inside = np.repeat([True, False], [len(inside), len(outside)])
    return float(roc_auc_score(is_inside, np.concatenate([inside, outside])))


def false_acceptance(inside: NDArray, outside: NDArray, *, accepted: float = 0.95) -> float:
    """Share of `outside` above the threshold that lets `accepted` of `inside` through."""
    return float((outside >= threshold(inside, accepted=accepted)).mean())


def threshold(inside: NDArray, *, accepted: float) -> float:
    """Of the confidence: `accepted` of the values (n,) are at or above it."""
    return float(np.quantile(inside, 1 - accepted))


@dataclass(frozen=True)
class Rejection:
    """Of each episode, (episodes,) each."""

    auroc: NDArray[np.float64]
    """0.5: out-of-scope requests look like the others; 1: each is less certain than every request in scope."""
    false_acceptance_at_95: NDArray[np.float64]
    """Share of out-of-scope requests let through where 95 % of those in scope are."""


def draw_strangers(
    available: int, num_tasks: int, queries: int, *, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """For each task the numbers (queries,) of those to ask, none twice. Raises UserError where there are fewer."""
    if available < queries:
        raise UserError(f"{queries} out-of-scope queries are asked for, there are {available}; ask for fewer")
    return [rng.choice(available, queries, replace=False) for _ in range(num_tasks)]


def tell_apart(inside: Sequence[Tensor], outside: Sequence[Tensor]) -> Rejection:
    """From the class scores of each task's queries (Q, ways) and of its out-of-scope ones (S, ways).

    A task whose scores are not all finite, because its adaptation diverged, is scored as the worst: 0, and all let
    through.
    """
    rows = []
    for own, strange in zip(inside, outside, strict=True):
        a, b = confidence(own).numpy(), confidence(strange).numpy()
        is_finite = np.isfinite(a).all() and np.isfinite(b).all()
        rows.append((auroc(a, b), false_acceptance(a, b)) if is_finite else (0.0, 1.0))
    return Rejection(*np.array(rows).reshape(-1, 2).T)
