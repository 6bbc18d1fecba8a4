"""Noise of a Gaussian policy over an episode: white, or correlated in time with a power spectrum of 1 / f^exponent.

Exponent 0 is white noise, 1 is pink (Eberhard et al. 2023), 2 is red. An arm that moves at random steps back as often
as forth; with pink noise it goes somewhere. At each step alone the noise is N(0, 1) whatever the exponent, so that an
action's density given its state is the policy's own; the actions of an episode together are not drawn from the policy,
for each depends on those before. A policy gradient over episodes, as MAML's support gradient is, then is that of
another distribution of episodes: its score function is right for each step and not for the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarl.rl.anneal import annealed
from metarl.validate import Checked, Count, NotNegative


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig(Checked):
    """How actions vary while an agent collects; evaluation has white noise, or none."""

    noise_exponent: NotNegative = 0.0
    """Of the noise's power spectrum 1 / f^exponent over an episode: 0 white, 1 pink."""
    final_noise_exponent: NotNegative = 0.0
    """Where `anneal_noise_updates` is set, the exponent falls or rises to this."""
    anneal_noise_updates: Count | None = None
    """Meta-updates over which it does, linearly; None: it stays."""

    def exponent_at(self, update: int) -> float:
        """After so many meta-updates."""
        if self.anneal_noise_updates is None:
            return self.noise_exponent
        return annealed(
            self.noise_exponent, self.final_noise_exponent, update=update, updates=self.anneal_noise_updates
        )


def coloured_noise(rng: np.random.Generator, *, steps: int, dim: int, exponent: float) -> NDArray[np.float32]:
    """(T, D), each entry N(0, 1), columns independent; drawn in the frequency domain (Timmer and Koenig 1995)."""
    if exponent == 0 or steps < 2:
        return rng.standard_normal((steps, dim), dtype=np.float32)
    frequencies = np.fft.rfftfreq(steps)
    frequencies[0] = frequencies[1]  # the mean over the episode varies as the slowest wave does
    amplitudes = frequencies ** (-exponent / 2)
    shape = (dim, len(amplitudes))
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * amplitudes
    series = np.fft.irfft(spectrum, steps, axis=-1)
    return (series / _std(amplitudes, steps)).T.astype(np.float32)


def _std(amplitudes: NDArray[np.floating], steps: int) -> float:
    """Of an entry of irfft: waves between the ends count twice, real and imaginary; the ends have a real part alone."""
    power = np.square(amplitudes)
    has_real_end = steps % 2 == 0
    between = power[1:-1] if has_real_end else power[1:]
    ends = power[0] + (power[-1] if has_real_end else 0.0)
    return float(np.sqrt(4 * between.sum() + ends)) / steps
