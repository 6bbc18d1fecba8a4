"""Action distributions as tuples of tensors, with explicit noise: they batch, vmap and differentiate as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor


class ActionDistribution(Protocol):
    """What policies return: a tuple of parameter tensors, one row a state."""

    def sample(self, noise: Tensor) -> Tensor: ...

    def mode(self) -> Tensor: ...

    def log_prob(self, actions: Tensor) -> Tensor: ...

    def entropy(self) -> Tensor: ...

    def kl_from(self, old: Self) -> Tensor: ...

    def fisher_product(self, tangent: Self) -> Self: ...

    def detach(self) -> Self: ...

    def with_parameters(self, *parameters: Tensor) -> Self:
        """The same kind of tuple of other tensors: a tangent, for `fisher_product`."""
        ...

    def __iter__(self) -> Iterator[Tensor]: ...


class Gaussian(NamedTuple):
    """Diagonal, unsquashed. mean and log_std (..., A), one row a state."""

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * noise, with noise ~ N(0, 1) of shape (..., A)."""
        return self.mean + self.log_std.exp() * noise

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Summed over action dimensions, (..., A) -> (...)."""
        z = (actions - self.mean) * (-self.log_std).exp()
        return -(0.5 * z.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Nats, (...)."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def kl_from(self, old: Gaussian) -> Tensor:
        """KL(old || self) in nats, (...)."""
        ratio = (2 * (old.log_std - self.log_std)).exp()
        shift = (old.mean - self.mean).square() * (-2 * self.log_std).exp()
        return (self.log_std - old.log_std + 0.5 * (ratio + shift - 1)).sum(-1)

    def fisher_product(self, tangent: Gaussian) -> Gaussian:
        """F t for a tangent (d mean, d log_std) at each state: (d mean / std^2, 2 d log_std)."""
        return Gaussian(tangent.mean * (-2 * self.log_std).exp(), 2 * tangent.log_std)

    def with_parameters(self, *parameters: Tensor) -> Gaussian:
        return Gaussian(*parameters)

    def detach(self) -> Gaussian:
        return Gaussian(self.mean.detach(), self.log_std.detach())


class Categorical(NamedTuple):
    """Over the last dimension of unnormalised logits (..., A)."""

    logits: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Gumbel-max: argmax(logits - log(-log u)), with noise u ~ U(0, 1) of shape (..., A); int64 (...)."""
        gumbel = -torch.log(-torch.log(noise.clamp(1e-12, 1 - 1e-7)))
        return (self.logits + gumbel).argmax(-1)

    def mode(self) -> Tensor:
        return self.logits.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self.logits.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        log_p = self.logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def kl_from(self, old: Categorical) -> Tensor:
        """KL(old || self) in nats, (...)."""
        old_log_p = old.logits.log_softmax(-1)
        return (old_log_p.exp() * (old_log_p - self.logits.log_softmax(-1))).sum(-1)

    def fisher_product(self, tangent: Categorical) -> Categorical:
        """F t for a tangent of the logits at each state: p * (t - E_p[t])."""
        p = self.logits.softmax(-1)
        return Categorical(p * (tangent.logits - (p * tangent.logits).sum(-1, keepdim=True)))

    def with_parameters(self, *parameters: Tensor) -> Categorical:
        return Categorical(*parameters)

    def detach(self) -> Categorical:
        return Categorical(self.logits.detach())
