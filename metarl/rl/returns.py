"""Returns and advantages: pure functions over (..., T) tensors, padded steps masked."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(rewards: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """G_t = r_t + gamma * G_{t+1}, and 0 past the end of an episode; (..., T) -> (..., T)."""
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[..., 0])
    for t in range(rewards.shape[-1] - 1, -1, -1):
        following = (rewards[..., t] + gamma * following) * mask[..., t]
        returns[..., t] = following
    return returns


def next_values(values: Tensor, last_values: Tensor, terminated: Tensor, mask: Tensor) -> Tensor:
    """V(s_{t+1}) for every step: 0 after a termination, V(last_obs) after a truncation.

    values (..., T), last_values (...,), terminated and mask (..., T) -> (..., T).
    """
    shifted = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], dim=-1)
    is_last = mask & ~torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], dim=-1)
    # a time limit is not an end of the task: bootstrap from V(last_obs) (Pardo et al. 2018)
    following = torch.where(is_last, last_values.unsqueeze(-1), shifted)
    return following * (mask & ~terminated)


def gae(
    rewards: Tensor,
    values: Tensor,
    last_values: Tensor,
    terminated: Tensor,
    mask: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """A_t = sum_k (gamma lambda)^k delta_{t+k}, delta_t = r_t + gamma V(s_{t+1}) - V(s_t).

    (Schulman et al. 2016, eq. 16.) Shapes as in `next_values`; padded steps get 0.
    """
    delta = (rewards + gamma * next_values(values, last_values, terminated, mask) - values) * mask
    return discounted_returns(delta, mask, gamma=gamma * gae_lambda)


def masked_mean(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Mean over all entries with mask True, or over those along `dim`; 0 where there are none."""
    return (x * mask).sum(dim) / mask.sum(dim).clamp(min=1)


def teaches(rewards: Tensor, mask: Tensor) -> Tensor:
    """Whether anything that was done in a task's episodes made a difference, (..., N, T) -> (...,) bool.

    Not where all rewards are the same and all episodes that were kept equally long.
    """
    lowest = rewards.masked_fill(~mask, torch.inf).amin((-2, -1))
    highest = rewards.masked_fill(~mask, -torch.inf).amax((-2, -1))
    lengths, horizon = mask.sum(-1), mask.shape[-1]
    shortest = lengths.masked_fill(lengths == 0, horizon).amin(-1)  # an episode without a step was left out
    return ~((lowest == highest) & (shortest == lengths.amax(-1)))


def standardize(advantages: Tensor, mask: Tensor, *, eps: float = 1e-8) -> Tensor:
    """(A - mean) / std over the valid steps of the last two dimensions, (..., N, T); padded steps get 0.

    Of a stack of tasks' episodes (B, N, T) those are each task's own steps; of trials (B, T) the whole meta-batch's.
    By the standard deviation: the published Meta-World baselines divide by the variance, so that their inner learning
    rates do not carry over unscaled.
    """
    count = mask.sum((-2, -1), keepdim=True).clamp(min=1)
    valid = advantages.double() * mask  # the squares of large float32 rewards would be infinite
    centred = (valid - valid.sum((-2, -1), keepdim=True) / count) * mask
    std = (centred.square().sum((-2, -1), keepdim=True) / count).sqrt()
    return (centred / (std + eps)).to(advantages.dtype)
