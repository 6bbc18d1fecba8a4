"""Do tasks agree on where theta should go? The mean cosine between their gradients, a diagnostic of every update.

1: all ask for the same step, so that one policy would do for all; below 0: what helps one harms another (Yu et al.
2020, "Gradient Surgery for Multi-Task Learning", definition 1).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metarl.learn import params as P
from metarl.types import Params

COMPARED = 5
"""Tasks of a meta-batch: ten pairs, for a small part of an epoch's time."""


def gradient_cosine(loss_of: Callable[[Params, int], Tensor], theta: Params, num_tasks: int) -> float:
    """Of the first tasks of a meta-batch; `loss_of(theta, i)` is task i's loss. 0 for one task."""
    leaves = P.trainable(theta)
    gradients = [P.flatten(P.gradient(loss_of(leaves, i), leaves)) for i in range(min(num_tasks, COMPARED))]
    return mean_pairwise_cosine(torch.stack(gradients))


def mean_pairwise_cosine(rows: Tensor) -> float:
    """Mean cosine between two different rows of (B, D); 0 for one row."""
    units = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    num_rows = len(units)
    # |sum u|^2 = sum |u|^2 + sum over ordered pairs of u_i . u_j
    pairs = units.sum(0).square().sum() - units.square().sum()
    return float(pairs) / (num_rows * (num_rows - 1)) if num_rows > 1 else 0.0
