"""Coloured noise: its variance at each step, its spectrum, and where it goes."""

import numpy as np
import pytest

from metarl.errors import SettingError
from metarl.rl.exploration_noise import ExplorationConfig, coloured_noise
from metarl.seeding import numpy_rng


def many(exponent, *, steps=200, episodes=4_000):
    """(N, T): one column an episode."""
    return coloured_noise(numpy_rng((0,)), steps=steps, dim=episodes, exponent=exponent).T


@pytest.mark.parametrize("steps", [2, 3, 50, 51])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_every_step_alone_is_standard_normal(exponent, steps):
    noise = many(exponent, steps=steps)
    np.testing.assert_allclose(noise.std(0), 1, atol=0.06)  # 5 standard errors of 4,000 draws
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.08)
    assert np.mean(noise**4) == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_power_falls_with_frequency_by_the_exponent(exponent):
    power = np.square(np.abs(np.fft.rfft(many(exponent), axis=-1))).mean(0)[1:-1]
    frequencies = np.fft.rfftfreq(200)[1:-1]
    slope = np.polyfit(np.log(frequencies), np.log(power), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.03)


def test_white_noise_is_the_generators_own_to_the_bit():
    expected = numpy_rng((3,)).standard_normal((7, 2), dtype=np.float32)
    np.testing.assert_array_equal(coloured_noise(numpy_rng((3,)), steps=7, dim=2, exponent=0.0), expected)


def test_pink_noise_goes_further_than_white():
    """The sum over an episode, as of an arm moved by it."""
    white, pink = (np.abs(many(exponent).sum(-1)).mean() for exponent in (0.0, 1.0))
    assert pink > 2 * white


def test_columns_are_independent():
    noise = coloured_noise(numpy_rng((1,)), steps=5_000, dim=3, exponent=0.5)
    off = np.corrcoef(noise.T)[np.triu_indices(3, 1)]
    assert np.abs(off).max() < 0.15


def test_the_exponent_falls_over_the_updates_named():
    config = ExplorationConfig(noise_exponent=1.0, final_noise_exponent=0.5, anneal_noise_updates=10)
    assert [config.exponent_at(n) for n in (0, 5, 10, 99)] == [1.0, 0.75, 0.5, 0.5]
    assert ExplorationConfig(noise_exponent=1.0).exponent_at(50) == 1.0


def test_a_negative_exponent_is_refused():
    with pytest.raises(SettingError, match="noise_exponent=-1"):
        ExplorationConfig(noise_exponent=-1)
