"""Policies as pure functions of (params, obs).

Every layer is a matrix product that broadcasts over leading dimensions, so the same line serves one task,
B tasks with stacked parameters (the rollout workers), and vmap (the inner loop).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from metarl.rl.distributions import ActionDistribution, Categorical, Gaussian
from metarl.types import EnvSpec, Params

MAX_STD = 10.0
"""Of a Gaussian policy's noise."""


class Policy(Protocol):
    """obs -> action distribution, with its parameters as an argument."""

    @property
    def action_dim(self) -> int: ...

    @property
    def discrete(self) -> bool: ...

    def init(self, generator: torch.Generator) -> Params: ...

    def dist(self, params: Params, obs: Tensor) -> ActionDistribution: ...

    def project(self, params: Params) -> Params:
        """The nearest parameters that are no different to `dist` and that an update can start from."""
        ...


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b for x (..., n, in), W (..., in, out), b (..., out): one product, or one for each of B tasks."""
    if weight.dim() == 3 and x.dim() == 3:
        return torch.baddbmm(bias.unsqueeze(-2), x, weight)
    return x @ weight + bias.unsqueeze(-2)


def clamped(log_std: Tensor, *, min_std: float, max_std: float) -> Tensor:
    """log_std within log(min_std) .. log(max_std), with the gradient of the identity (Bengio et al. 2013, section 4).

    torch.clamp's is 0 outside: a log_std that one step has taken there could never come back. The same everywhere
    because J' F J of a trust region must be linear; what keeps theta from going further and further out is `project`.
    """
    inside = log_std.clamp(math.log(min_std), math.log(max_std))
    return inside.detach() + (log_std - log_std.detach())


def projected(params: Params, *, min_std: float, max_std: float) -> Params:
    """params with `log_std` within its range; the same to the bit where it is."""
    return params | {"log_std": params["log_std"].clamp(math.log(min_std), math.log(max_std))}


def init_mlp(sizes: tuple[int, ...], generator: torch.Generator, *, last_gain: float = 1.0) -> Params:
    """Xavier-uniform weights (Glorot and Bengio 2010) stored as (in, out), zero biases; keys w0, b0, w1, ..."""
    params: Params = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        gain = last_gain if layer == len(sizes) - 2 else 1.0
        bound = gain * math.sqrt(6.0 / (n_in + n_out))
        params[f"w{layer}"] = (torch.rand(n_in, n_out, generator=generator) * 2 - 1) * bound
        params[f"b{layer}"] = torch.zeros(n_out)
    return params


def mlp(params: Params, x: Tensor, num_layers: int) -> Tensor:
    """tanh between layers, none after the last; x (..., n, in) -> (..., n, out)."""
    for layer in range(num_layers):
        x = linear(x, params[f"w{layer}"], params[f"b{layer}"])
        if layer < num_layers - 1:
            x = torch.tanh(x)
    return x


@dataclass(frozen=True)
class GaussianMLP:
    """Gaussian policy with a state-independent, learned log_std, as in the MAML and TRPO papers."""

    obs_dim: int
    action_dim: int
    hidden: tuple[int, ...] = (128, 128)
    init_std: float = 1.0
    min_std: float = 1e-3
    max_std: float = MAX_STD

    discrete = False

    def init(self, generator: torch.Generator) -> Params:
        # a small last layer: the first actions come from the noise, not from the random net
        params = init_mlp((self.obs_dim, *self.hidden, self.action_dim), generator, last_gain=0.1)
        params["log_std"] = torch.full((self.action_dim,), math.log(self.init_std))
        return params

    def dist(self, params: Params, obs: Tensor) -> Gaussian:
        """obs (..., n, O) -> mean (..., n, A); log_std is clamped so that no step makes the noise vanish."""
        mean = mlp(params, obs, len(self.hidden) + 1)
        log_std = clamped(params["log_std"], min_std=self.min_std, max_std=self.max_std)
        return Gaussian(mean, log_std.unsqueeze(-2).expand_as(mean))

    def project(self, params: Params) -> Params:
        return projected(params, min_std=self.min_std, max_std=self.max_std)


@dataclass(frozen=True)
class CategoricalMLP:
    """Softmax policy over `action_dim` discrete actions."""

    obs_dim: int
    action_dim: int
    hidden: tuple[int, ...] = (128, 128)

    discrete = True

    def init(self, generator: torch.Generator) -> Params:
        return init_mlp((self.obs_dim, *self.hidden, self.action_dim), generator, last_gain=0.1)

    def dist(self, params: Params, obs: Tensor) -> Categorical:
        return Categorical(mlp(params, obs, len(self.hidden) + 1))

    def project(self, params: Params) -> Params:
        return params


def mlp_policy(spec: EnvSpec, *, hidden: tuple[int, ...], init_std: float, min_std: float) -> Policy:
    """The MLP policy that fits an environment's action space."""
    if spec.discrete:
        return CategoricalMLP(spec.obs_dim, spec.action_dim, hidden)
    return GaussianMLP(spec.obs_dim, spec.action_dim, hidden, init_std, min_std)
