"""Means that come with intervals: bootstrap over tasks or seeds, in plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # Student's quantiles; scipy.stats takes half a second to import


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


def wilson(share: float, trials: int) -> Interval:
    """A share of `trials` successes with its 95 % score interval (Wilson 1927), which has a width at 0 and 1 too."""
    z = 1.959964
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def wider(one: Interval, other: Interval) -> Interval:
    """The first one's mean with the outer bounds of both."""
    return Interval(one.mean, min(one.low, other.low), max(one.high, other.high))


def normal_interval(values: NDArray) -> Interval:
    """Mean with its 95 % interval from the normal approximation, 1.96 s / sqrt(n), as few-shot papers give it."""
    mean = float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return Interval(mean, mean - half, mean + half)


def over_seeds_and_tasks(values: NDArray, strata: Sequence[str] | None = None, *, level: float = 0.95) -> Interval:
    """Mean of (seeds, tasks) with an interval over both, for two seeds or more on the same tasks.

    The half width is the root of the sum of two squares: Student's half width of the seeds' means, and that of the
    tasks' means within strata, each with its own degrees of freedom (the modified large-sample method of Graybill and
    Wang 1980). So two seeds give a very wide interval; a bootstrap of two seeds covers far less than it promises.
    """
    values = np.asarray(values, np.float64)
    num_seeds, num_tasks = values.shape
    of_seeds = values.mean(1).var(ddof=1) / num_seeds
    tasks = values.mean(0)
    labels = np.zeros(num_tasks, int) if strata is None else np.unique(strata, return_inverse=True)[1]
    groups = [tasks[labels == label] for label in range(labels.max() + 1)]
    of_tasks = sum((len(g) / num_tasks) ** 2 * g.var(ddof=1) / len(g) for g in groups if len(g) > 1)
    quantile = (1 + level) / 2
    t_seeds = stdtrit(num_seeds - 1, quantile)
    t_tasks = stdtrit(max(num_tasks - len(groups), 1), quantile)
    half = float(np.sqrt(t_seeds**2 * of_seeds + t_tasks**2 * of_tasks))
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half)
