"""What learning a sequence of tasks gave and took, by Continual World's definitions (Wołczyk et al. 2021).

p_i(t) is the success of task i after t env steps in all, of which each of N tasks had its own Delta, one after another:
T = N Delta. E evaluations gave p at `times` (E,), from 0 to T, as `success` (E, N).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def average_performance(success: Array) -> Array:
    """P(t) = 1/N sum p_i(t), over all tasks, whether they were trained on by then or not, (E,)."""
    return success.mean(1)


def at_own_end(times: Array, success: Array, *, steps_per_task: int) -> Array:
    """p_i(i Delta), as the training on task i ends, (N,)."""
    ends = np.arange(1, success.shape[1] + 1) * steps_per_task
    return success[np.searchsorted(times, ends), np.arange(success.shape[1])]


def forgetting(times: Array, success: Array, *, steps_per_task: int) -> Array:
    """F_i = p_i(i Delta) - p_i(T), (N,); that of the last task is 0, and counts in the paper's mean."""
    return at_own_end(times, success, steps_per_task=steps_per_task) - success[-1]


def areas(times: Array, success: Array, *, steps_per_task: int) -> Array:
    """AUC_i = 1/Delta times the integral of p_i over the training on task i, both its ends included, (N,).

    Between evaluations p_i is taken to be straight.
    """
    found = []
    for task, curve in enumerate(success.T):
        own = (times >= task * steps_per_task) & (times <= (task + 1) * steps_per_task)
        found.append(np.trapezoid(curve[own], times[own]) / steps_per_task)
    return np.array(found)


def forward_transfer(areas: Array, alone: Array) -> Array:
    """FT_i = (AUC_i - AUC_i^b) / (1 - AUC_i^b), where b was trained on the task alone, (N,).

    NaN where b solved it from its first step on: then there was nothing to gain.
    """
    room = 1 - alone
    return np.divide(areas - alone, room, out=np.full_like(room, np.nan), where=room > 0)
