"""What the agents that use PPO share (Schulman et al. 2017): shuffled minibatches, and how far an update went."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from metarl.rl.returns import masked_mean
from metarl.types import Metrics


def shuffled_minibatches(
    num_rows: int, *, epochs: int, minibatches: int, rng: np.random.Generator, device: torch.device
) -> Iterator[Tensor]:
    """Row numbers, shuffled anew in each epoch; fewer minibatches where there are fewer rows."""
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(num_rows)).to(device)
        yield from order.tensor_split(min(minibatches, num_rows))


def ratio_metrics(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor, *, clip: float) -> Metrics:
    """KL(old || new) by the estimator r - 1 - log r, which is never negative (Schulman 2020), and who was clipped."""
    log_ratio = (log_probs - old_log_probs) * mask
    ratio = log_ratio.exp()
    return {
        "kl": float(masked_mean(ratio - 1 - log_ratio, mask)),
        "clip_fraction": float(masked_mean(((ratio - 1).abs() > clip).float(), mask)),
    }
