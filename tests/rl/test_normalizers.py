"""Means and spreads from running sums."""

import numpy as np
import pytest
import torch

from metarl.rl.normalizers import mean_and_std, sums


def test_batches_add_up_to_numpys_mean_and_std():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2
    mean, std = mean_and_std(sums(x[:20]) + sums(x[20:]), smallest_std=1e-3)
    np.testing.assert_allclose(mean, x.double().numpy().mean(0))
    np.testing.assert_allclose(std, x.double().numpy().std(0))


def test_weights_cancel_and_a_constant_has_the_smallest_std():
    moments = 0.1 * sums(torch.full((4,), 7.0)) / 4
    mean, std = mean_and_std(moments, smallest_std=1e-3)
    assert float(mean) == pytest.approx(7) and float(std) == pytest.approx(1e-3)


def test_before_anything_was_counted():
    mean, std = mean_and_std(torch.zeros(3, 2, dtype=torch.float64), smallest_std=1e-3)
    assert mean.tolist() == [0, 0] and std.tolist() == [1, 1]
