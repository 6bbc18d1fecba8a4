"""Advantages of a stack of tasks' episodes by the linear feature baseline, one fit a task."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from metarl.rl.baseline import explained_variance, fit_linear_baseline, predict_values
from metarl.rl.returns import discounted_returns, gae, standardize, teaches
from metarl.types import Episodes


class Advantages(NamedTuple):
    """Advantages of B tasks' episodes, and how well the baseline predicts their returns."""

    values: Tensor  # (B, N, T) standardised per task
    explained_variance: float


def linear_baseline_advantages(episodes: Episodes, *, gamma: float, gae_lambda: float) -> Advantages:
    """GAE over a LinearFeatureBaseline fitted to the same episodes' returns, standardised per task.

    A task of one reward throughout and episodes of one length has advantages of 0: what the baseline leaves over of it
    is noise, which standardising would blow up.

    The time limit is treated as the end of the task: the baseline sees the time step and is fitted to returns
    that stop there, so V(last_obs) is near 0 by construction (rllab, MAML and ProMP do the same).
    """
    returns = discounted_returns(episodes.rewards, episodes.mask, gamma=gamma)
    weights = fit_linear_baseline(episodes.obs, returns, episodes.mask)
    values, last_values = predict_values(weights, episodes.obs, episodes.last_obs, episodes.mask)
    ended = episodes.terminated | episodes.truncated
    advantages = gae(episodes.rewards, values, last_values, ended, episodes.mask, gamma=gamma, gae_lambda=gae_lambda)
    advantages = standardize(advantages, episodes.mask) * teaches(episodes.rewards, episodes.mask)[..., None, None]
    return Advantages(advantages, explained_variance(values, returns, episodes.mask))
