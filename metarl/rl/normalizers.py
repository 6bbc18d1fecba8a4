"""Means and standard deviations of what comes in batches, from running sums of [1, x, x^2]."""

from __future__ import annotations

import torch
from torch import Tensor


def sums(x: Tensor) -> Tensor:
    """[n, x, x^2] summed over the n rows of x (n, ...), in float64 on the CPU: (3, ...)."""
    x = x.double().cpu()
    return torch.stack([torch.full_like(x[0], len(x)), x.sum(0), x.square().sum(0)])


def mean_and_std(moments: Tensor, *, smallest_std: float) -> tuple[Tensor, Tensor]:
    """Of moments (3, ...), sums or any multiple of them; 0 and 1 where nothing was counted."""
    count, total, squares = moments
    mean = total / count.clamp(min=torch.finfo(count.dtype).tiny)
    std = (squares / count - mean.square()).clamp(min=smallest_std**2).sqrt()
    return mean, torch.where(count == 0, 1.0, std)
