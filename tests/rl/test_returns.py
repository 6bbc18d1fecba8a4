"""Returns and advantages: by hand, by definition, and against Stable-Baselines3."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from stable_baselines3.common.buffers import RolloutBuffer

from metarl.rl.returns import discounted_returns, gae, masked_mean, next_values, standardize


def test_gae_by_hand_with_a_termination_and_a_truncation():
    """gamma = 0.5, lambda = 0.5, so gamma lambda = 0.25; V = 1, 2, 3 and V(last_obs) = 8.

    Terminated after 2 of 3 steps: delta = (1 + 0.5*2 - 1, 2 + 0 - 2) = (1, 0)         A = (1, 0)
    Truncated after 3 steps:       delta = (1 + 1 - 1, 2 + 1.5 - 2, 4 + 4 - 3) = (1, 1.5, 5)
                                   A = (1 + 0.25*2.75, 1.5 + 0.25*5, 5)
    """
    rewards = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 4.0]])
    values = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    terminated = torch.tensor([[False, True, False], [False, False, False]])
    last_values = torch.tensor([8.0, 8.0])
    expected = torch.tensor([[1.0, 0.0, 0.0], [1.6875, 2.75, 5.0]])
    actual = gae(rewards, values, last_values, terminated, mask, gamma=0.5, gae_lambda=0.5)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        next_values(values, last_values, terminated, mask), torch.tensor([[2.0, 0.0, 0.0], [2.0, 3.0, 8.0]])
    )


def test_discounted_returns_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 99.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expected = torch.tensor([[3.0, 4.0, 4.0], [2.0, 2.0, 0.0]])
    torch.testing.assert_close(discounted_returns(rewards, mask, gamma=0.5), expected)


def gae_by_definition(rewards, values, last_value, terminated, length, *, gamma, gae_lambda):
    """A_t = sum_k (gamma lambda)^k delta_{t+k} within the episode, in O(n^2)."""
    following = [*values[1:length], last_value]
    deltas = [rewards[t] + (0.0 if terminated[t] else gamma * following[t]) - values[t] for t in range(length)]
    advantages = np.zeros(len(rewards))
    for t in range(length):
        advantages[t] = sum((gamma * gae_lambda) ** (k - t) * deltas[k] for k in range(t, length))
    return advantages


@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    ends=st.lists(st.booleans(), min_size=4, max_size=4),
    gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    gae_lambda=st.sampled_from([0.0, 0.7, 1.0]),
    seed=st.integers(0, 1000),
)
def test_gae_equals_its_definition(lengths, ends, gamma, gae_lambda, seed):
    rng, horizon = np.random.default_rng(seed), 7
    n = len(lengths)
    mask = np.arange(horizon) < np.array(lengths)[:, None]
    terminated = np.zeros((n, horizon), bool)
    for i, (length, end) in enumerate(zip(lengths, ends, strict=False)):
        if end and length:
            terminated[i, length - 1] = True
    rewards, values = rng.normal(size=(2, n, horizon))  # the padding holds junk: it must not matter
    last_values = rng.normal(size=n)
    actual = gae(
        *map(torch.tensor, (rewards, values, last_values, terminated, mask)),
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    for i in range(n):
        expected = gae_by_definition(
            rewards[i],
            values[i],
            last_values[i],
            terminated[i],
            lengths[i],
            gamma=gamma,
            gae_lambda=gae_lambda,
        )
        np.testing.assert_allclose(actual[i].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("last_done", [False, True])
def test_gae_equals_stable_baselines3(last_done):
    """SB3 runs many episodes through one buffer: ours are the stretches between its episode starts."""
    steps, gamma, gae_lambda = 30, 0.97, 0.9
    rng = np.random.default_rng(3)
    rewards, values = rng.normal(size=(2, steps)).astype(np.float32)
    starts = np.zeros(steps, bool)
    starts[[0, 4, 5, 17]] = True
    last_value = np.float32(1.7)

    buffer = RolloutBuffer(steps, spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)), gamma=gamma, gae_lambda=gae_lambda)
    for t in range(steps):
        buffer.add(
            np.zeros(1),
            np.zeros(1),
            rewards[t : t + 1],
            starts[t : t + 1],
            torch.tensor(values[t : t + 1]),
            torch.zeros(1),
        )
    buffer.compute_returns_and_advantage(torch.tensor([last_value]), np.array([last_done]))

    bounds = [*np.flatnonzero(starts), steps]
    for begin, end in itertools.pairwise(bounds):
        terminated = torch.zeros(end - begin, dtype=torch.bool)
        terminated[-1] = bool(end < steps) or last_done
        ours = gae(
            torch.tensor(rewards[begin:end]),
            torch.tensor(values[begin:end]),
            torch.tensor(last_value),
            terminated,
            torch.ones(end - begin, dtype=torch.bool),
            gamma=gamma,
            gae_lambda=gae_lambda,
        )
        np.testing.assert_allclose(ours.numpy(), buffer.advantages[begin:end, 0], rtol=1e-5, atol=1e-6)


def test_gae_with_lambda_1_is_return_minus_value():
    rewards, values = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 5, dtype=torch.bool)
    terminated = torch.zeros(3, 5, dtype=torch.bool)
    terminated[:, -1] = True
    actual = gae(rewards, values, torch.full((3,), 9.0), terminated, mask, gamma=0.9, gae_lambda=1.0)
    torch.testing.assert_close(actual, discounted_returns(rewards, mask, gamma=0.9) - values)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e25])
def test_standardize_has_mean_0_and_std_1_per_task(scale):
    rng = torch.Generator().manual_seed(0)
    advantages = torch.randn(3, 4, 9, generator=rng) * torch.tensor([1.0, 5.0, 0.2]).view(3, 1, 1) + 2.0
    mask = torch.rand(3, 4, 9, generator=rng) < 0.6
    result = standardize(advantages * scale, mask)
    assert (result[~mask] == 0).all()
    for task in range(3):
        valid = result[task][mask[task]]
        torch.testing.assert_close(valid.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
        torch.testing.assert_close(valid.std(correction=0), torch.tensor(1.0), atol=2e-4, rtol=0)


def test_standardize_of_a_constant_reward_is_finite_zeros():
    mask = torch.tensor([[[True, True, False]]])
    assert torch.equal(standardize(torch.full((1, 1, 3), 7.0), mask), torch.zeros(1, 1, 3))
    assert torch.equal(standardize(torch.zeros(1, 1, 3), mask), torch.zeros(1, 1, 3))
    assert torch.equal(standardize(torch.ones(1, 1, 3), mask & False), torch.zeros(1, 1, 3))


def test_standardize_of_one_task_is_that_of_a_stack():
    rng = torch.Generator().manual_seed(1)
    advantages, mask = torch.randn(3, 4, 5, generator=rng), torch.rand(3, 4, 5, generator=rng) < 0.7
    alone = torch.stack([standardize(advantages[i], mask[i]) for i in range(3)])
    torch.testing.assert_close(standardize(advantages, mask), alone)


def test_masked_mean_counts_valid_steps_only():
    x, mask = torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])
    assert masked_mean(x, mask) == 2.0
    assert masked_mean(x, mask & False) == 0.0
