"""The linear feature baseline against least squares in NumPy, one task at a time."""

import numpy as np
import pytest
import torch

from metarl.errors import NonFiniteError
from metarl.rl.baseline import explained_variance, features, fit_linear_baseline, predict_values

B, N, T, D = 3, 6, 20, 4


@pytest.fixture
def data():
    """obs, returns, mask of B tasks with episodes of different lengths; the padding is zero."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, T + 1, size=(B, N))
    mask = np.arange(T) < lengths[..., None]
    obs = rng.normal(size=(B, N, T, D)) * mask[..., None]
    obs[0, 0, 0, 0] = 500.0  # clipped
    returns = rng.normal(size=(B, N, T)) * mask * 10
    return (
        torch.tensor(obs, dtype=torch.float32),
        torch.tensor(returns, dtype=torch.float32),
        torch.tensor(mask),
    )


def features_by_hand(obs, t):
    o = np.clip(obs.astype(np.float64), -10, 10)
    s = t / 100
    return np.concatenate([o, o**2, [s, s**2, s**3, 1.0]])


def fit_by_hand(obs, returns, mask, ridge):
    """Ridge regression on standardised features as least squares with sqrt(n ridge) I appended; weights of those."""
    rows = [(features_by_hand(obs[n, t], t), returns[n, t]) for n in range(N) for t in range(T) if mask[n, t]]
    f, g = np.array([r[0][:-1] for r in rows]), np.array([r[1] for r in rows], dtype=np.float64)
    count, size = f.shape
    z = (f - f.mean(0)) / np.maximum(f.std(0), 1e-3)
    left = np.vstack([z, np.sqrt(count * ridge) * np.eye(size)])
    weights = np.linalg.lstsq(left, np.concatenate([g - g.mean(), np.zeros(size)]), rcond=None)[0]
    return g.mean() + z @ weights


def test_fit_equals_numpy_least_squares(data):
    obs, returns, mask = data
    values, _ = predict_values(fit_linear_baseline(obs, returns, mask, ridge=0.1), obs.double(), obs[:, :, 0], mask)
    for i in range(B):
        expected = fit_by_hand(obs[i].numpy(), returns[i].numpy(), mask[i].numpy(), 0.1)
        np.testing.assert_allclose(values[i][mask[i]].numpy(), expected, rtol=1e-9, atol=1e-9)


def test_an_object_at_rest_gives_the_same_bytes_every_time_and_ten_times_the_noise_no_other_fit(data):
    """Columns that are constant but for rounding: torch.linalg.lstsq answered them differently at every call."""
    obs, returns, mask = data
    rest = torch.full((B, N, T, 30), 0.6) + 1e-7 * torch.rand(B, N, T, 30, generator=torch.Generator().manual_seed(2))
    noisy = torch.full((B, N, T, 30), 0.6) + 1e-6 * torch.rand(B, N, T, 30, generator=torch.Generator().manual_seed(3))
    resting, noisy = torch.cat([obs, rest], -1), torch.cat([obs, noisy], -1)
    weights = fit_linear_baseline(resting, returns, mask)
    for _ in range(5):
        assert torch.equal(fit_linear_baseline(resting, returns, mask), weights)
    values, _ = predict_values(weights, resting.double(), resting[:, :, 0], mask)
    others, _ = predict_values(fit_linear_baseline(noisy, returns, mask), noisy.double(), noisy[:, :, 0], mask)
    assert float((values - others)[mask].abs().max()) < 1.0  # of returns with a spread of 10


def test_predictions_equal_features_times_weights(data):
    """V(last_obs) takes the step after the episode's last."""
    obs, returns, mask = data
    last_obs = torch.randn(B, N, D, generator=torch.Generator().manual_seed(1))
    weights = fit_linear_baseline(obs, returns, mask)
    values, last_values = predict_values(weights, obs, last_obs, mask)
    assert values.dtype == obs.dtype and values.shape == (B, N, T) and last_values.shape == (B, N)
    b, n = 2, 3
    w, length = weights[b].numpy(), int(mask[b, n].sum())
    for t in range(length):
        np.testing.assert_allclose(values[b, n, t], features_by_hand(obs[b, n, t].numpy(), t) @ w, rtol=1e-4, atol=1e-4)
    expected = features_by_hand(last_obs[b, n].numpy(), length) @ w
    np.testing.assert_allclose(last_values[b, n], expected, rtol=1e-4, atol=1e-4)


def test_batched_equals_one_by_one(data):
    obs, returns, mask = data
    together = fit_linear_baseline(obs, returns, mask)
    alone = torch.stack([fit_linear_baseline(obs[i], returns[i], mask[i]) for i in range(B)])
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)


def test_padding_is_without_influence(data):
    obs, returns, mask = data
    junk_obs = torch.where(mask.unsqueeze(-1), obs, torch.tensor(3.0))
    junk_returns = torch.where(mask, returns, torch.tensor(50.0))
    torch.testing.assert_close(
        fit_linear_baseline(junk_obs, junk_returns, mask), fit_linear_baseline(obs, returns, mask)
    )


def test_a_linear_target_is_fitted_and_its_variance_explained(data):
    obs, _, mask = data
    true = torch.linspace(-1, 1, 2 * D + 4, dtype=torch.float64)
    returns = (features(obs, torch.arange(T).expand(mask.shape)) @ true * mask).float()
    values, _ = predict_values(fit_linear_baseline(obs, returns, mask), obs, obs[:, :, 0], mask)
    torch.testing.assert_close(values[mask], returns[mask], atol=1e-2, rtol=1e-3)
    assert explained_variance(values, returns, mask) > 0.999


@pytest.mark.parametrize("level", [0.0, 3.0, 1e4])
def test_constant_observations_and_returns_give_a_finite_fit(level):
    mask = torch.ones(1, 2, 5, dtype=torch.bool)
    obs = torch.full((1, 2, 5, D), level)
    weights = fit_linear_baseline(obs, torch.full((1, 2, 5), 4.0), mask)
    values, last_values = predict_values(weights, obs, obs[:, :, 0], mask)
    torch.testing.assert_close(values, torch.full((1, 2, 5), 4.0), atol=1e-2, rtol=0)
    assert torch.isfinite(weights).all() and torch.isfinite(last_values).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_returns_are_an_error(data, bad):
    obs, returns, mask = data
    returns[1, 0, 0] = bad
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        fit_linear_baseline(obs, returns, mask)


def test_explained_variance_by_hand():
    returns = torch.tensor([[0.0, 2.0, 4.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert explained_variance(returns, returns, mask) == 1.0
    assert explained_variance(torch.full_like(returns, 7.0), returns, mask) == pytest.approx(0.0)
    # residuals (0, 0, 2) of variance 8/9, returns of variance 8/3
    assert explained_variance(torch.tensor([[0.0, 2.0, 2.0, 0.0]]), returns, mask) == pytest.approx(2 / 3)
    assert explained_variance(returns, torch.ones_like(returns), mask) == 0.0
    assert explained_variance(returns, returns, mask & False) == 0.0


def test_explained_variance_of_huge_returns_is_finite():
    returns = torch.tensor([[0.0, 1e30, -1e30]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert explained_variance(returns, returns, mask) == 1.0
    assert explained_variance(torch.zeros_like(returns), returns, mask) == pytest.approx(0.0)
