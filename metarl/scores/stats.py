"""Means that come with intervals: bootstrap over tasks or seeds, in plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Interval(NamedTuple):
    """A point estimate with the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def iqm(values: NDArray) -> float:
    """Interquartile mean: the mean of the middle half, fractional ends weighted (Agarwal et al. 2021)."""
    x = np.sort(np.ravel(values))
    cut = len(x) / 4
    positions = np.arange(len(x))
    weights = np.clip(np.minimum(positions + 1 - cut, len(x) - cut - positions), 0, 1)
    return float((x * weights).sum() / weights.sum())


def stratified_bootstrap(
    values: NDArray, strata: Sequence[str] | None = None, *, samples: int = 2000, seed: int = 0
) -> Interval:
    """Mean of `values` (n,) with a 95 % percentile interval, resampling within each stratum.

    One value is one independent unit: a held-out goal with its episodes already averaged, or a seed. Strata are
    the task classes of ML10 and the like, so that every class keeps its share of each resample.
    """
    values = np.asarray(values, np.float64)
    labels = np.zeros(len(values), int) if strata is None else np.unique(strata, return_inverse=True)[1]
    rng = np.random.Generator(np.random.PCG64(seed))
    totals = np.zeros(samples)
    for label in range(labels.max() + 1):
        group = values[labels == label]
        totals += group[rng.integers(len(group), size=(samples, len(group)))].sum(-1)
    low, high = np.percentile(totals / len(values), (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))
