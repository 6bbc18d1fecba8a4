"""Trials: the episodes of a task in the order in which they ran, joined into one sequence without padding between.

L  steps of a trial, padded behind its last
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.types import Episodes


@dataclass(frozen=True)
class Trials:
    """B trials as sequences; `index` says where each step lies among a trial's N * T episode steps."""

    index: Tensor  # (B, L) int64
    mask: Tensor  # (B, L) bool
    obs: Tensor  # (B, L, O)
    actions: Tensor  # (B, L, A), or (B, L) int64
    rewards: Tensor  # (B, L)
    log_probs: Tensor  # (B, L)
    ended: Tensor  # (B, L) bool: terminated or truncated, the next step begins another episode

    @property
    def lengths(self) -> Tensor:
        """(B,)"""
        return self.mask.sum(-1)


def join_episodes(episodes: Episodes) -> Trials:
    """A stack of tasks' episodes (B, N, T, ...) -> trials (B, L, ...); padded and dropped steps are left out."""
    mask = episodes.mask.flatten(1, 2)
    lengths = mask.sum(-1)
    # a stable sort puts the valid steps in front and keeps their order
    index = (~mask).to(torch.uint8).argsort(dim=-1, stable=True)[:, : int(lengths.max())]
    return Trials(
        index=index,
        mask=torch.arange(index.shape[1]) < lengths.unsqueeze(-1),
        obs=_take(episodes.obs, index),
        actions=_take(episodes.actions, index),
        rewards=_take(episodes.rewards, index),
        log_probs=_take(episodes.log_probs, index),
        ended=_take(episodes.terminated | episodes.truncated, index),
    )


def to_trial_steps(values: Tensor, trials: Trials) -> Tensor:
    """(B, N, T, ...) of episodes -> (B, L, ...) of their trials, 0 behind the last step."""
    taken = _take(values, trials.index)
    return taken * trials.mask.reshape(*trials.mask.shape, *[1] * (taken.dim() - 2))


def to_episode_steps(values: Tensor, trials: Trials, like: Tensor) -> Tensor:
    """(B, L) of trials -> (B, N, T) of their episodes, 0 where there was no step."""
    flat = torch.zeros(like.shape, dtype=values.dtype).flatten(1, 2)
    return flat.scatter(1, trials.index, values * trials.mask).view(like.shape)


def _take(x: Tensor, index: Tensor) -> Tensor:
    flat = x.flatten(1, 2)
    return flat.gather(1, index.reshape(*index.shape, *[1] * (flat.dim() - 2)).expand(*index.shape, *flat.shape[2:]))


def trial_gae(trials: Trials, values: Tensor, *, gamma: float, gae_lambda: float, cut_at_episodes: bool) -> Tensor:
    """GAE (Schulman et al. 2016, eq. 16) within a trial, values (B, L) -> (B, L).

    The trial is RL²'s episode (Duan et al. 2016, section 2.2). Across episodes, the value after an episode's last
    step is that of the next episode's first, whether the task terminated or a time limit came: exploring in one
    episode is credited with what it earns in the next. Cut, each episode is for itself and its end is worth 0, as
    in `metarl.rl.advantages`. The trial's own end is an end either way: nothing is earned behind it.
    """
    goes_on = torch.cat([trials.mask[:, 1:], torch.zeros_like(trials.mask[:, :1])], dim=1)
    if cut_at_episodes:
        goes_on = goes_on & ~trials.ended
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    delta = (trials.rewards + gamma * following * goes_on - values) * trials.mask
    decay = gamma * gae_lambda * goes_on
    advantages, running = torch.zeros_like(delta), torch.zeros_like(delta[:, 0])
    for t in range(delta.shape[1] - 1, -1, -1):
        running = delta[:, t] + decay[:, t] * running
        advantages[:, t] = running
    return advantages


def trial_returns(trials: Trials, *, gamma: float, cut_at_episodes: bool) -> Tensor:
    """Discounted returns (B, L) to the end of the trial, or of the episode."""
    zeros = torch.zeros_like(trials.rewards)
    return trial_gae(trials, zeros, gamma=gamma, gae_lambda=1.0, cut_at_episodes=cut_at_episodes)
