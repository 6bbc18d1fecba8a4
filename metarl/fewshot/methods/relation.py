"""Relation networks (Sung et al. 2018): how alike a query and a class are is itself learned, by a small net.

On images the relation net is two convolutions over the channels of both maps and two dense layers, as in the paper,
but without its max-pools, and with layer normalisation in place of batch normalisation, so that no pair depends on the
other pairs.

On vectors it is the dense layers alone, and here it departs from the paper, with whose recipe it came to answer every
query alike on texts (20.0 % of 5 ways on CLINC150):

- a pair is the product of the two vectors, entry by entry, and not both in a row: from those a small net would have to
  learn first that alike means equal entries;
- the dense weights start positive, as a randomly weighted inner product a hidden unit;
- the sum of a class's examples is brought to their own length, so that its scores do not grow with the shots, nor with
  how alike its examples are;
- the loss counts the own class as much as all others together. With twenty classes the plain squared error is nearly
  as low for a score of 0 everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.losses import accuracy
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, class_means, one_hot
from metarl.fewshot.methods.transfer import normalised
from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.conv4 import Conv4
from metarl.fewshot.nets.make import NetConfig, make_net
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.norm import layer_norm
from metarl.types import Params
from metarl.validate import Count

START = 2.0
"""What a hidden unit multiplies an inner product of vectors by at first."""
LENGTH = 2.0
"""Of vectors, where the net gives them none: those of a ReLU net are so long that every sigmoid would be flat."""


@dataclass(frozen=True, kw_only=True)
class RelationConfig(MetricConfig):
    """Settings of relation networks."""

    hidden: Count = 8
    """Units of the relation net's first dense layer."""
    net: NetConfig = NetConfig(flatten=True)


@dataclass(frozen=True)
class RelationScore:
    """phi (B, ways, D): the sum of each class's examples, the paper's choice for more than one shot."""

    map_shape: tuple[int, ...]
    """(C, h, w), or (D,) for vectors."""
    hidden: int
    own_length: bool = True
    """Vectors are compared as long as they are; else each is first brought to LENGTH."""

    @property
    def of_images(self) -> bool:
        return len(self.map_shape) == 3

    def init(self, features: int, generator: torch.Generator) -> Params:
        if not self.of_images:
            # each hidden unit is START times a weighted mean of products, so of cosines where the features are unit
            return {
                "w0": torch.rand((features, self.hidden), generator=generator) * 2 * START,
                "b0": torch.zeros(self.hidden),
                "w1": torch.full((self.hidden, 1), 1 / self.hidden),
                "b1": torch.full((1,), -1.0),
            }
        channels = self.map_shape[0]
        params: Params = {}
        for layer, n_in in enumerate((2 * channels, channels)):
            bound = math.sqrt(6.0 / (9 * (n_in + channels)))
            params[f"conv{layer}"] = _uniform((channels, n_in, 3, 3), bound, generator)
            params[f"gain{layer}"], params[f"shift{layer}"] = torch.ones(channels), torch.zeros(channels)
        for layer, (n_in, n_out) in enumerate(((features, self.hidden), (self.hidden, 1))):
            params[f"w{layer}"] = _uniform((n_in, n_out), math.sqrt(6.0 / (n_in + n_out)), generator)
            params[f"b{layer}"] = torch.zeros(n_out)
        return params

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        if not self.own_length:
            support = LENGTH * normalised(support)
        means = class_means(support, y, ways)
        if not self.of_images:
            lengths = class_means(support.square().sum(-1, keepdim=True), y, ways).sqrt()
            return {"classes": lengths * normalised(means)}
        counts = one_hot(y, ways).sum(1).unsqueeze(-1)
        return {"classes": means * counts.to(support.dtype)}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Log-odds of each (query, class) pair, whose sigmoid is the paper's relation score (eq. 1)."""
        classes = phi["classes"]
        if not self.own_length:
            queries = LENGTH * normalised(queries)
        if self.of_images:
            pairs = self._compared_maps(params, classes, queries)
            hidden = F.relu(pairs @ params["w0"] + params["b0"])
        else:
            # (c * q) W as c (q * W): one product for all pairs
            weighed = queries.unsqueeze(2) * params["w0"].T  # (B, Q, H, D)
            hidden = F.relu(torch.einsum("bqhd,bwd->bqwh", weighed, classes) + params["b0"])
        return (hidden @ params["w1"] + params["b1"]).view(len(queries), queries.shape[1], classes.shape[1])

    def _compared_maps(self, params: Params, classes: Tensor, queries: Tensor) -> Tensor:
        """The convolutions' output for each pair, (B, Q, ways, D)."""
        size, ways = queries.shape[1], classes.shape[1]
        shape = (len(queries), size, ways, *self.map_shape)
        pairs = torch.cat(
            [
                classes.unsqueeze(1).expand(-1, size, -1, -1).reshape(shape),
                queries.unsqueeze(2).expand(-1, -1, ways, -1).reshape(shape),
            ],
            dim=3,
        ).flatten(0, 2)
        for layer in range(2):
            pairs = F.conv2d(pairs, params[f"conv{layer}"], padding=1)
            pairs = F.relu(layer_norm(pairs, params[f"gain{layer}"], params[f"shift{layer}"]))
        return pairs.flatten(1).view(len(queries), size, ways, -1)

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        """Squared error of the sigmoid to 1 for the own class and 0 for the others (eq. 2); balanced for vectors."""
        phi = self.condense(params, batch.support, batch.support_y, batch.ways)
        scores = self.scores(params, phi, batch.query)
        target = one_hot(batch.query_y, batch.ways).to(scores.dtype)
        errors = (scores.sigmoid() - target).square()
        if not self.of_images:
            errors = errors * (target + (1 - target) / (batch.ways - 1))
        return errors.sum(-1).mean(), accuracy(scores.detach(), batch.query_y).mean()


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def relation(
    spec: DataSpec,
    config: RelationConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """A net that is not a Conv4 without averaging is taken as one of vectors."""
    net = net or make_net(spec.input_shape, config.net, fused=True)
    keeps_maps = isinstance(net, Conv4) and net.output_dim == math.prod(net.map_shape)

    def head_for(features: int) -> RelationScore:
        shape = net.map_shape if isinstance(net, Conv4) and keeps_maps else (features,)
        return RelationScore(shape, config.hidden, own_length=keeps_maps or isinstance(net, BesideInput))

    return MetricLearner(spec, config, head_for=head_for, generator=generator, device=device, net=net)
