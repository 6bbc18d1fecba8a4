"""A Gaussian squashed by tanh into [-1, 1], with its exact density (Haarnoja et al. 2018, appendix C)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_ACTION = 1 - 1e-6
"""Of an action whose density is asked for: float32's tanh reaches 1, whose inverse is infinite."""


class SquashedGaussian(NamedTuple):
    """tanh(u) with u ~ N(mean, exp(log_std)^2), diagonal. mean and log_std (..., A), one row a state."""

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """tanh(mean + std * noise), with noise ~ N(0, 1) of shape (..., A)."""
        return torch.tanh(self.mean + self.log_std.exp() * noise)

    def sample_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The sample (..., A) and its log-density (...), which is exact however close to 1 an action is."""
        u = self.mean + self.log_std.exp() * noise
        log_prob = -0.5 * noise.square() - self.log_std - 0.5 * math.log(2 * math.pi) - log_slope(u)
        return torch.tanh(u), log_prob.sum(-1)

    def act(self, noise: Tensor, *, deterministic: bool) -> tuple[Tensor, Tensor]:
        """The sample, or the mode whatever the noise, with its log-density."""
        if deterministic:
            actions = self.mode()
            return actions, self.log_prob(actions)
        return self.sample_with_log_prob(noise)

    def mode(self) -> Tensor:
        """tanh(mean), as everybody acts in evaluation; the density's own maximum lies elsewhere."""
        return torch.tanh(self.mean)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Summed over action dimensions, (..., A) -> (...)."""
        u = torch.atanh(actions.clamp(-LARGEST_ACTION, LARGEST_ACTION))
        z = (u - self.mean) * (-self.log_std).exp()
        return (-0.5 * z.square() - self.log_std - 0.5 * math.log(2 * math.pi) - log_slope(u)).sum(-1)


def log_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), without a loss of digits where tanh(u) is near 1."""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))
