"""What a critic's outputs mean: one number, or a distribution over bins of returns, learned by cross-entropy.

Classification is the better of the two in a critic for many tasks (Farebrother et al. 2024): its gradient does not grow
with the size of the returns. The Bellman update of the bins is Bellemare et al.'s (2017), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class ValueHead(Protocol):
    """What a critic's outputs say of the value, and their loss."""

    @property
    def size(self) -> int:
        """Outputs of a critic."""
        ...

    def first_bias(self) -> Tensor:
        """Of the critic's last layer, (size,): values begin near 0."""
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """(..., size) -> (...)."""
        ...

    def target(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """What r + discount * V is to be learned as, V by the critic that says least (Fujimoto et al. 2018).

        outputs (E, ..., size) of the target critics at the next state, rewards and discounts (...) -> what `losses`
        takes.
        """
        ...

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """(E, ..., size) and a target -> (E, ...)."""
        ...

    def beyond(self, values: Tensor) -> Tensor:
        """Where values lie outside what the head can say, bool of the same shape."""
        ...


@dataclass(frozen=True)
class ScalarValue:
    """One number, learned by squared error."""

    size = 1

    def first_bias(self) -> Tensor:
        return torch.zeros(1)

    def values(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)

    def target(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        return rewards + discounts * self.values(outputs).amin(0)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (self.values(outputs) - target).square()

    def beyond(self, values: Tensor) -> Tensor:
        return torch.zeros_like(values, dtype=torch.bool)


@dataclass(frozen=True)
class BinnedValue:
    """Probabilities of `bins` values from -largest, or from 0, to largest."""

    bins: int
    largest: float
    sign: Literal["both", "positive"] = "both"
    spacing: Literal["even", "square"] = "even"
    """`square`: |z_i| = largest u_i^2 with even u_i, so that bins are finer near 0, where values begin."""

    @property
    def size(self) -> int:
        return self.bins

    @property
    def _lowest(self) -> float:
        return -1.0 if self.sign == "both" else 0.0

    @cached_property
    def z(self) -> Tensor:
        """The bins' values, (bins,)."""
        u = torch.linspace(self._lowest, 1.0, self.bins)
        return self.largest * (u * u.abs() if self.spacing == "square" else u)

    def on(self, device: torch.device) -> Tensor:
        return self.z if device.type == "cpu" else self._copies.setdefault(device, self.z.to(device))

    @cached_property
    def _copies(self) -> dict[torch.device, Tensor]:
        return {}

    def first_bias(self) -> Tensor:
        """Probabilities that fall from the bin of 0 outwards, by e in about three bins."""
        nearest_0 = int(self.z.abs().argmin())
        return -0.3 * (torch.arange(self.bins) - nearest_0).abs().float()

    def values(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(-1) @ self.on(outputs.device)

    def target(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        probabilities = outputs.softmax(-1)
        z = self.on(outputs.device)
        least = (probabilities @ z).argmin(0)[None, ..., None]
        of_least = probabilities.take_along_dim(least, 0).squeeze(0)
        return self.project(rewards.unsqueeze(-1) + discounts.unsqueeze(-1) * z, of_least)

    def project(self, values: Tensor, weights: Tensor) -> Tensor:
        """Weights (..., K) of values (..., K) as probabilities of the bins (..., bins): each goes to the two bins next
        to it so that its mean stays; what is beyond the ends goes to the end."""
        z, largest = self.on(values.device), self.largest
        values = values.clamp(float(self.z[0]), largest)
        u = values / largest
        if self.spacing == "square":
            u = u.sign() * u.abs().sqrt()
        place = (u - self._lowest) * ((self.bins - 1) / (1 - self._lowest))
        low = place.floor().long().clamp(0, self.bins - 2)
        z_low, z_high = z[low], z[low + 1]
        share = ((values - z_low) / (z_high - z_low)).clamp(0, 1)  # rounding may take `place` past a bin
        projected = torch.zeros(*values.shape[:-1], self.bins, device=values.device)
        return projected.scatter_add_(-1, low, weights * (1 - share)).scatter_add_(-1, low + 1, weights * share)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return -(target * F.log_softmax(outputs, -1)).sum(-1)

    def beyond(self, values: Tensor) -> Tensor:
        return (values < self.z[0]) | (values > self.largest)
