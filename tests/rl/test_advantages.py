"""Advantages by the linear baseline: per task, standardised, the time limit an end."""

import dataclasses

import pytest
import torch

from metarl.rl.advantages import linear_baseline_advantages
from metarl.rl.baseline import fit_linear_baseline, predict_values
from metarl.rl.returns import discounted_returns, standardize
from metarl.types import Episodes

B, N, T = 2, 4, 6


@pytest.fixture
def episodes():
    rng = torch.Generator().manual_seed(0)
    lengths = torch.tensor([[6, 3, 5, 6], [2, 6, 4, 4]])
    mask = torch.arange(T) < lengths.unsqueeze(-1)
    last = torch.arange(T) == lengths.unsqueeze(-1) - 1
    return Episodes(
        obs=torch.randn(B, N, T, 2, generator=rng) * mask.unsqueeze(-1),
        actions=torch.zeros(B, N, T, 1),
        rewards=torch.randn(B, N, T, generator=rng) * mask,
        log_probs=torch.zeros(B, N, T),
        terminated=last & (lengths < 6).unsqueeze(-1),
        truncated=last & (lengths == 6).unsqueeze(-1),
        success=mask & False,
        mask=mask,
        last_obs=torch.randn(B, N, 2, generator=rng),
    )


def test_with_lambda_1_they_are_standardised_returns_minus_values(episodes):
    """Also after a truncation: the time limit is treated as an end."""
    returns = discounted_returns(episodes.rewards, episodes.mask, gamma=0.9)
    weights = fit_linear_baseline(episodes.obs, returns, episodes.mask)
    values, _ = predict_values(weights, episodes.obs, episodes.last_obs, episodes.mask)
    expected = standardize((returns - values) * episodes.mask, episodes.mask)
    actual = linear_baseline_advantages(episodes, gamma=0.9, gae_lambda=1.0)
    torch.testing.assert_close(actual.values, expected, atol=1e-4, rtol=1e-4)
    assert 0 < actual.explained_variance < 1


def test_a_task_where_nothing_makes_a_difference_has_none(episodes):
    """-1 a step until success, and no success: what the baseline leaves over is noise, and was a whole step."""
    mask = torch.ones_like(episodes.mask)
    mask[0, 2] = False  # dropped; the others are equally long
    rewards = torch.stack([torch.full((N, T), -1.0), episodes.rewards[1]]) * mask
    values = linear_baseline_advantages(
        dataclasses.replace(episodes, rewards=rewards, mask=mask), gamma=0.99, gae_lambda=0.95
    ).values
    assert not values[0].any() and values[1].any()
    shorter = dataclasses.replace(episodes, rewards=-1.0 * episodes.mask)  # how long it took does make one
    assert linear_baseline_advantages(shorter, gamma=0.99, gae_lambda=0.95).values[0].any()


def test_each_task_has_a_fit_and_a_scale_of_its_own(episodes):
    both = linear_baseline_advantages(episodes, gamma=0.9, gae_lambda=0.95).values
    other = dataclasses.replace(episodes, rewards=torch.stack([episodes.rewards[0], 100 * episodes.rewards[1]]))
    scaled = linear_baseline_advantages(other, gamma=0.9, gae_lambda=0.95).values
    torch.testing.assert_close(scaled, both, atol=1e-3, rtol=1e-3)
    for task in range(B):
        valid = both[task][episodes.mask[task]]
        torch.testing.assert_close(valid.std(correction=0), torch.tensor(1.0), atol=1e-3, rtol=0)
        assert (both[task][~episodes.mask[task]] == 0).all()
