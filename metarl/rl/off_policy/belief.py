"""A Gaussian belief over what sets a task apart, from its transitions (Rakelly et al. 2019, section 4).

q(z | c) is the product of the prior N(0, 1) and a Gaussian factor for each transition of the context c, so that their
order says nothing and more of them make it narrower. A product of Gaussians adds up their precisions, and their means
times precision: a belief is these two sums, and goes on from new transitions by adding theirs.

The paper leaves the prior out of the product; with it a belief without any transition is the prior, from which the
first episodes act.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.rl.off_policy.norm_mlp import norm_mlp
from metarl.types import Episodes, Params

SMALLEST_VARIANCE = 1e-6


class Belief(NamedTuple):
    """Diagonal Gaussians over z, (..., Z) each."""

    precision: Tensor
    weighted_mean: Tensor
    """mean times precision."""

    @property
    def mean(self) -> Tensor:
        return self.weighted_mean / self.precision

    @property
    def std(self) -> Tensor:
        return self.precision.rsqrt()

    def sample(self, noise: Tensor) -> Tensor:
        """z, differentiable in mean and std; noise ~ N(0, 1), (..., Z)."""
        return self.mean + self.std * noise

    def kl_to_prior(self) -> Tensor:
        """KL(q || N(0, 1)) in nats, (...)."""
        variance = 1 / self.precision
        return 0.5 * (variance + self.mean.square() - 1 + self.precision.log()).sum(-1)


def prior(size: int) -> Belief:
    """N(0, 1) over z, (size,)."""
    return Belief(torch.ones(size), torch.zeros(size))


def context_dim(obs_dim: int, action_dim: int) -> int:
    """Numbers that a transition is fed as."""
    return 2 * obs_dim + action_dim + 2


def context_rows(obs: Tensor, actions: Tensor, rewards: Tensor, next_obs: Tensor, reward_changes: Tensor) -> Tensor:
    """Transitions as the encoder is fed them, (..., F): s, a, r, s' - s, and how r differs from the step before, 0 at
    an episode's first. From one reward a goal lies anywhere on a circle; from its change along a step, on one side."""
    return torch.cat([obs, actions, rewards.unsqueeze(-1), next_obs - obs, reward_changes.unsqueeze(-1)], -1)


def context_of(episodes: Episodes) -> Tensor:
    """All steps of stacked tasks' episodes, (B, N, T, F); those that are padding are to be masked."""
    last = episodes.mask.long().sum(-1, keepdim=True) - 1  # (B, N, 1)
    next_obs = torch.cat([episodes.obs[..., 1:, :], episodes.last_obs.unsqueeze(-2)], -2)
    is_last = torch.arange(episodes.obs.shape[-2]) == last
    next_obs = torch.where(is_last.unsqueeze(-1), episodes.last_obs.unsqueeze(-2), next_obs)
    rewards = episodes.rewards
    changes = torch.cat([torch.zeros_like(rewards[..., :1]), rewards[..., 1:] - rewards[..., :-1]], -1)
    return context_rows(episodes.obs, episodes.actions, rewards, next_obs, changes)


def factors(params: Params, context: Tensor, *, num_hidden: int) -> Belief:
    """Of each transition: context (n, F) -> (n, Z) each, in float32 whatever the encoder multiplies in."""
    mean, raw = norm_mlp(params, context, num_hidden).float().chunk(2, -1)
    precision = 1 / (F.softplus(raw) + SMALLEST_VARIANCE)
    return Belief(precision, precision * mean)


def product(of_each: Belief, mask: Tensor, *, start: Belief) -> Belief:
    """Of `start` (..., Z) and the factors (..., n, Z) where mask (..., n) is True."""
    keep = mask.unsqueeze(-1)
    return Belief(*(begin + (x * keep).sum(-2) for begin, x in zip(start, of_each, strict=True)))
