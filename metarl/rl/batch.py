"""Episodes of a meta-batch as what a policy loss is taken over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError
from metarl.rl.advantages import linear_baseline_advantages
from metarl.types import Episodes, stack_episodes

STEP_FIELDS = ("obs", "actions", "log_probs", "advantages", "mask")
Batch = dict[str, Tensor]
"""A stack of tasks' steps, flat over N episodes and T steps: obs (B, N T, O), actions, log_probs, advantages, mask
(B, N T); and the episodes' undiscounted returns (B, N), with `kept` (B, N) False where one was dropped."""


def stack_tasks(episodes: Sequence[Episodes]) -> Episodes:
    """Fields with a leading B from B tasks' episodes. Raises UserError where a task has no step at all."""
    stacked = stack_episodes(episodes)
    if not stacked.kept.any(-1).all():
        raise UserError("a task has no step to adapt on: all its episodes are empty or were dropped")
    return stacked


def flat_batch(episodes: Sequence[Episodes], *, gamma: float, gae_lambda: float) -> tuple[Batch, float]:
    """Stack the tasks, compute advantages, flatten (N, T) to M; also the baseline's explained variance.

    Raises UserError where a task has no step at all, NonFiniteError where a reward or observation is not finite.
    """
    stacked = stack_tasks(episodes)
    advantages, variance = linear_baseline_advantages(stacked, gamma=gamma, gae_lambda=gae_lambda)
    if not torch.isfinite(advantages).all():
        raise NonFiniteError("NaN or infinity in the advantages; the rewards are too large for float32")
    steps = {name: advantages if name == "advantages" else getattr(stacked, name) for name in STEP_FIELDS}
    batch = {name: x.flatten(1, 2) for name, x in steps.items()}
    return batch | {"returns": stacked.returns_undiscounted(), "kept": stacked.kept}, variance
