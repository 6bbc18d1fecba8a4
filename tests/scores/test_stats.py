"""Interquartile mean and bootstrap intervals."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from metarl.scores.stats import Interval, iqm, stratified_bootstrap


@pytest.mark.parametrize("n", [4, 8, 40])
def test_iqm_equals_the_trimmed_mean(n):
    values = np.random.default_rng(n).normal(size=n)
    assert iqm(values) == pytest.approx(trim_mean(values, 0.25))
    assert iqm(values.reshape(2, -1)) == iqm(values)


def test_iqm_weights_fractional_ends():
    """n = 5: a quarter of the second and fourth value falls off; n = 1 and 2 keep what there is."""
    assert iqm(np.array([100.0, 1.0, 2.0, 4.0, -100.0])) == pytest.approx((0.75 * 1 + 2 + 0.75 * 4) / 2.5)
    assert iqm(np.array([3.0])) == 3.0 and iqm(np.array([1.0, 3.0])) == 2.0


def test_bootstrap_interval_covers_the_true_mean_about_95_percent_of_the_time():
    rng = np.random.default_rng(0)
    intervals = [stratified_bootstrap(rng.normal(3.0, 2.0, 40), samples=400, seed=i) for i in range(300)]
    assert 0.90 <= np.mean([i.low <= 3.0 <= i.high for i in intervals]) <= 0.98


def test_bootstrap_has_the_width_of_the_standard_error():
    values = np.random.default_rng(1).normal(size=100)
    interval = stratified_bootstrap(values)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low < interval.mean < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.1)


def test_bootstrap_is_deterministic_in_its_seed():
    values = np.random.default_rng(2).normal(size=20)
    assert stratified_bootstrap(values) == stratified_bootstrap(values)
    assert stratified_bootstrap(values, seed=1) != stratified_bootstrap(values)


def test_each_stratum_keeps_its_share():
    """Values that are constant within each stratum leave nothing to chance; without strata they do."""
    values, strata = np.array([0.0] * 5 + [1.0] * 15), ["easy"] * 5 + ["hard"] * 15
    assert stratified_bootstrap(values, strata) == Interval(0.75, 0.75, 0.75)
    loose = stratified_bootstrap(values)
    assert loose.low < 0.7 < 0.8 < loose.high


def test_strata_need_not_be_contiguous():
    values = np.array([0.0, 1.0] * 10)
    assert stratified_bootstrap(values, ["a", "b"] * 10) == Interval(0.5, 0.5, 0.5)


def test_one_value_has_an_interval_of_no_width():
    assert stratified_bootstrap(np.array([0.3])) == pytest.approx((0.3, 0.3, 0.3))
