"""A small convolutional encoder of observations that are pictures, as a pure function of (params, obs).

Layers of 3 x 3 with stride 2 and ReLU between, until no side has more than `SMALLEST` pixels: a picture of any size
becomes some hundreds of numbers, which the policy's own layers go on from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import conv2d, relu

from metarl.rl.distributions import ActionDistribution
from metarl.rl.policies import Policy, mlp_policy
from metarl.types import EnvSpec, Params

KERNEL = 3
SMALLEST = 6
"""Pixels of a side at which halving ends."""
CHANNELS = (16, 32)
"""Of the first layer, and of all others."""


@dataclass(frozen=True)
class PictureEncoder:
    """Convolutions from a camera's picture to features."""

    height: int
    width: int
    channels: int

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width after each layer; one at the least."""
        found = [(self.height, self.width)]
        while len(found) == 1 or max(found[-1]) > SMALLEST:
            found.append((math.ceil(found[-1][0] / 2), math.ceil(found[-1][1] / 2)))
        return found[1:]

    @property
    def output_dim(self) -> int:
        height, width = self.sizes[-1]
        return height * width * self._channels[-1]

    @property
    def _channels(self) -> tuple[int, ...]:
        """Of the picture and of each layer."""
        return (self.channels, CHANNELS[0], *[CHANNELS[1]] * (len(self.sizes) - 1))

    def init(self, generator: torch.Generator) -> Params:
        """He-uniform weights (He et al. 2015), (out, in, 3, 3), zero biases; keys conv.w0, conv.b0, ..."""
        params: Params = {}
        for layer, n_out in enumerate(self._channels[1:]):
            n_in = self._channels[layer]
            bound = math.sqrt(6.0 / (n_in * KERNEL**2))
            shape = (n_out, n_in, KERNEL, KERNEL)
            params[f"conv.w{layer}"] = (torch.rand(shape, generator=generator) * 2 - 1) * bound
            params[f"conv.b{layer}"] = torch.zeros(n_out)
        return params

    def encode(self, params: Params, pictures: Tensor) -> Tensor:
        """Pictures (..., H W C), the channels last, -> (..., F); of B tasks with stacked params (B, ..., H W C)."""
        own = {name: p for name, p in params.items() if name.startswith("conv.")}
        if own["conv.b0"].dim() == 2:
            return torch.func.vmap(self._encode)(own, pictures)
        return self._encode(own, pictures)

    def _encode(self, params: Params, pictures: Tensor) -> Tensor:
        x = pictures.reshape(-1, self.height, self.width, self.channels).movedim(-1, 1)
        for layer in range(len(self.sizes)):
            x = relu(conv2d(x, params[f"conv.w{layer}"], params[f"conv.b{layer}"], stride=2, padding=KERNEL // 2))
        return x.reshape(*pictures.shape[:-1], self.output_dim)


@dataclass(frozen=True)
class PicturePolicy:
    """A policy of the encoder's output; `head` is one for observations of its size."""

    encoder: PictureEncoder
    head: Policy

    @property
    def action_dim(self) -> int:
        return self.head.action_dim

    @property
    def discrete(self) -> bool:
        return self.head.discrete

    def init(self, generator: torch.Generator) -> Params:
        return self.encoder.init(generator) | self.head.init(generator)

    def dist(self, params: Params, obs: Tensor) -> ActionDistribution:
        """obs (..., n, O) -> a distribution over actions (..., n, A)."""
        return self.head.dist(params, self.encoder.encode(params, obs))

    def project(self, params: Params) -> Params:
        return self.head.project(params)


def policy_for(spec: EnvSpec, *, hidden: tuple[int, ...], init_std: float, min_std: float) -> Policy:
    """The policy that fits an environment's observations and actions: an MLP, on pictures behind an encoder."""
    if spec.picture is None:
        return mlp_policy(spec, hidden=hidden, init_std=init_std, min_std=min_std)
    encoder = PictureEncoder(*spec.picture)
    encoded = replace(spec, obs_dim=encoder.output_dim, picture=None)
    return PicturePolicy(encoder, mlp_policy(encoded, hidden=hidden, init_std=init_std, min_std=min_std))
