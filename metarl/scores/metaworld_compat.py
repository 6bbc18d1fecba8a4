"""Success as metaworld 3.1.1's `metalearning_evaluation` counts it, to compare with published numbers.

It steps several environments of a class at once, each with one goal, stops an episode at its success, starts the
next at once, and keeps the first few episodes that end, whichever goal they are of. Easy goals end first and are
counted again, so the score is biased upwards: true 9 % was reported as 31 %. Our own evaluator gives every goal the
same number of episodes; this module recounts its raw outcomes, since an episode's end is known from its first success.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KEPT_EPISODES = 3
"""metaworld keeps so many of each batch; with another number the count is not its own."""


def first_come_success(
    steps_to_success: NDArray, strata: Sequence[str], *, envs_per_class: int, horizon_steps: int
) -> float:
    """Mean success over classes, counted first come first kept.

    steps_to_success (tasks, episodes): steps up to and including the first success, 0 without one. As many episodes
    of a class are kept as were run of each task, out of each `envs_per_class` goals stepped together; goals left over
    for a batch that is not full are left out, because a score of fewer environments is less biased.
    """
    classes = list(dict.fromkeys(strata))
    labels = np.asarray(strata)
    return float(
        np.mean([_class_success(steps_to_success[labels == c], envs_per_class, horizon_steps) for c in classes])
    )


def _class_success(steps: NDArray, envs_per_class: int, horizon_steps: int) -> float:
    size = min(envs_per_class, len(steps))
    batches = [steps[i : i + size] for i in range(0, len(steps) - size + 1, size)]
    return float(np.mean([_batch_success(batch, horizon_steps) for batch in batches]))


def _batch_success(steps: NDArray, horizon_steps: int) -> float:
    """One evaluation of environments stepped together, (envs, episodes) -> success of the episodes kept."""
    ends = np.where(steps > 0, steps, horizon_steps).cumsum(-1)
    # at equal times the environment with the lower index is looked at first
    order = np.argsort(ends.ravel(), kind="stable")
    return float((steps.ravel()[order[: steps.shape[1]]] > 0).mean())
