"""Requests of no known class: how well the largest class score tells them from those that have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.evaluation import normal_interval
from metarl.fewshot.learner import FewShotLearner
from metarl.fewshot.source import EpisodeSource
from metarl.seeding import numpy_rng
from metarl.stats import Interval
from metarl.types import Task


def confidence(scores: Tensor) -> Tensor:
    """The largest score (..., ways) -> (...): a distance, a cosine or a logit, before it is made a probability.

    A softmax would lose what counts here: a query that is far from all classes is sure of the nearest.
    """
    return scores.max(-1).values


def auroc(inside: NDArray, outside: NDArray) -> float:
    """Chance that a value of `inside` is above one of `outside`, ties counted half (Mann and Whitney 1947)."""
    values = np.concatenate([inside, outside])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


def false_acceptance(inside: NDArray, outside: NDArray, *, accepted: float = 0.95) -> float:
    """Share of `outside` above the threshold that lets `accepted` of `inside` through."""
    return float((outside >= np.quantile(inside, 1 - accepted)).mean())


@dataclass(frozen=True)
class Rejection:
    """Means over episodes with their 95 % intervals."""

    auroc: Interval
    """0.5: out-of-scope requests look like the others; 1: each is less certain than every request in scope."""
    false_acceptance_at_95: Interval
    """Share of out-of-scope requests let through where 95 % of those in scope are."""


def score_rejection(
    learner: FewShotLearner,
    source: EpisodeSource,
    tasks: Sequence[Task],
    out_of_scope: NDArray[np.float32],
    *,
    seed: int = 0,
    queries: int = 100,
) -> Rejection:
    """Adapt to each task, then ask its queries and `queries` drawn from `out_of_scope` (n, ...)."""
    if len(out_of_scope) < queries:
        raise UserError(f"{queries} out-of-scope queries are asked for, there are {len(out_of_scope)}; ask for fewer")
    areas, passed = [], []
    for index, task in enumerate(tasks):
        rng = numpy_rng((seed, index))
        (data,) = source.data([task], rng=rng)
        phis = learner.adapt([learner.prior()], [data.supports[0]])
        strangers = torch.from_numpy(out_of_scope[rng.choice(len(out_of_scope), queries, replace=False)])
        ways = int(data.supports[0].y.max()) + 1
        (scores,) = learner.predict(phis, [torch.cat([data.query.x, strangers])])
        values = confidence(scores[:, :ways]).numpy()
        inside, outside = values[: len(data.query.x)], values[len(data.query.x) :]
        areas.append(auroc(inside, outside))
        passed.append(false_acceptance(inside, outside))
    return Rejection(normal_interval(np.array(areas)), normal_interval(np.array(passed)))
