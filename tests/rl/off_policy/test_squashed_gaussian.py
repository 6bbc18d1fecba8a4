"""The density of tanh(u): against torch's own transform, and as a density."""

import math

import pytest
import torch

from metarl.rl.off_policy.squashed_gaussian import SquashedGaussian, log_slope


def dist_of(shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return SquashedGaussian(torch.randn(shape, generator=rng), 0.5 * torch.randn(shape, generator=rng) - 0.5)


def reference(dist):
    base = torch.distributions.Normal(dist.mean, dist.log_std.exp())
    return torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform())


def test_log_prob_is_that_of_torchs_transformed_normal():
    dist = dist_of((50, 3))
    actions = torch.tanh(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(dist.log_prob(actions), reference(dist).log_prob(actions).sum(-1), atol=1e-4, rtol=1e-4)


def test_a_sample_comes_with_its_own_log_prob():
    dist, noise = dist_of((200, 4)), torch.randn(200, 4, generator=torch.Generator().manual_seed(2))
    actions, log_probs = dist.sample_with_log_prob(noise)
    torch.testing.assert_close(actions, dist.sample(noise))
    torch.testing.assert_close(log_probs, dist.log_prob(actions), atol=2e-3, rtol=1e-3)


def test_the_density_integrates_to_one():
    dist = SquashedGaussian(torch.tensor([0.7]), torch.tensor([-0.3]))
    edges = torch.linspace(-1, 1, 400_001, dtype=torch.float64)
    middle = ((edges[1:] + edges[:-1]) / 2).float().unsqueeze(-1)
    assert float(dist.log_prob(middle).double().exp().sum() * 2 / 400_000) == pytest.approx(1, abs=1e-3)


def test_a_sample_at_the_very_end_has_a_finite_and_exact_log_prob():
    """tanh(20) is 1 in float32; the log-density of u = 20 is -1/2 20^2 - log sqrt(2 pi) - 2 (log 2 - 20)."""
    dist = SquashedGaussian(torch.zeros(1), torch.zeros(1))
    action, log_prob = dist.sample_with_log_prob(torch.tensor([20.0]))
    assert float(action) == 1.0
    assert float(log_prob) == pytest.approx(-200 - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - 20), rel=1e-6)
    assert torch.isfinite(dist.log_prob(action))


def test_log_slope_is_the_logarithm_of_tanhs_derivative():
    u = torch.linspace(-4, 4, 81, dtype=torch.float64)
    torch.testing.assert_close(log_slope(u), torch.log(1 - torch.tanh(u).square()), atol=1e-10, rtol=1e-8)


def test_the_mean_action_is_tanh_of_the_mean():
    dist = dist_of((5, 2))
    torch.testing.assert_close(dist.mode(), torch.tanh(dist.mean))
