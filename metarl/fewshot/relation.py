"""Relation networks (Sung et al. 2018): how alike a query and a class are is itself learned, by a small net.

On images the relation net is two convolutions over the channels of both maps and two dense layers, as in the paper,
but with layer normalisation in place of batch normalisation, so that no pair depends on the other pairs. On vectors it
is the dense layers alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.fewshot.losses import accuracy
from metarl.fewshot.metric import CPU, Embedded, MetricConfig, MetricLearner, class_means, one_hot
from metarl.fewshot.nets import Conv4, Net, NetConfig, make_net
from metarl.fewshot.norm import layer_norm
from metarl.fewshot.source import DataSpec
from metarl.types import Params
from metarl.validate import check_range


@dataclass(frozen=True, kw_only=True)
class RelationConfig(MetricConfig):
    hidden: int = 8
    """Units of the relation net's first dense layer."""
    net: NetConfig = NetConfig(flatten=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "hidden", low=1)


@dataclass(frozen=True)
class RelationScore:
    """phi: the sum of each class's maps (B, ways, D), the paper's choice for more than one shot."""

    map_shape: tuple[int, ...]
    """(C, h, w), or (D,) for vectors."""
    hidden: int

    def init(self, features: int, generator: torch.Generator) -> Params:
        channels = self.map_shape[0]
        params: Params = {}
        inputs = 2 * features
        if len(self.map_shape) == 3:
            for layer, n_in in enumerate((2 * channels, channels)):
                bound = math.sqrt(6.0 / (9 * (n_in + channels)))
                params[f"conv{layer}"] = _uniform((channels, n_in, 3, 3), bound, generator)
                params[f"gain{layer}"], params[f"shift{layer}"] = torch.ones(channels), torch.zeros(channels)
            inputs = features
        for layer, (n_in, n_out) in enumerate(((inputs, self.hidden), (self.hidden, 1))):
            params[f"w{layer}"] = _uniform((n_in, n_out), math.sqrt(6.0 / (n_in + n_out)), generator)
            params[f"b{layer}"] = torch.zeros(n_out)
        return params

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        counts = one_hot(y, ways).sum(1).unsqueeze(-1)
        return {"classes": class_means(support, y, ways) * counts.to(support.dtype)}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Log-odds of each (query, class) pair, whose sigmoid is the paper's relation score (eq. 1)."""
        classes = phi["classes"]
        num_tasks, ways, size = len(queries), classes.shape[1], queries.shape[1]
        shape = (num_tasks, size, ways, *self.map_shape)
        pairs = torch.cat(
            [
                classes.unsqueeze(1).expand(-1, size, -1, -1).reshape(shape),
                queries.unsqueeze(2).expand(-1, -1, ways, -1).reshape(shape),
            ],
            dim=3,
        ).flatten(0, 2)
        if len(self.map_shape) == 3:
            for layer in range(2):
                pairs = F.conv2d(pairs, params[f"conv{layer}"], padding=1)
                pairs = F.relu(layer_norm(pairs, params[f"gain{layer}"], params[f"shift{layer}"]))
        hidden = F.relu(pairs.flatten(1) @ params["w0"] + params["b0"])
        return (hidden @ params["w1"] + params["b1"]).view(num_tasks, size, ways)

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        """Squared error of the sigmoid to 1 for the own class and 0 for the others (eq. 2)."""
        phi = self.condense(params, batch.support, batch.support_y, batch.ways)
        scores = self.scores(params, phi, batch.query)
        target = one_hot(batch.query_y, batch.ways).to(scores.dtype)
        loss = (scores.sigmoid() - target).square().sum(-1).mean()
        return loss, accuracy(scores.detach(), batch.query_y).mean()


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
        return RelationScore(shape, config.hidden)

    return MetricLearner(spec, config, head_for=head_for, generator=generator, device=device, net=net)
