"""Prototypical networks (Snell et al. 2017): a class is the mean of its embedded examples, the nearest one is named."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, class_means, classification_loss
from metarl.fewshot.nets.net import Net
from metarl.types import Params


@dataclass(frozen=True, kw_only=True)
class PrototypicalConfig(MetricConfig):
    """Train with more ways than are tested, and as many shots (Snell et al. 2017, section 2.6)."""


class Prototypes:
    """phi: the prototypes (B, ways, D)."""

    def init(self, features: int, generator: torch.Generator) -> Params:
        return {}

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        return {"prototypes": class_means(support, y, ways)}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """-|query - prototype|^2 (eq. 2)."""
        return -squared_distances(queries, phi["prototypes"])

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        return classification_loss(self, params, batch)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 of rows (B, N, D) and (B, M, D) -> (B, N, M), by a matrix product."""
    squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2)
    return squares - 2 * a @ b.transpose(-1, -2)


def prototypical(
    spec: DataSpec,
    config: PrototypicalConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """Prototypical networks: the nearest mean of a class's embedded supports."""
    return MetricLearner(
        spec, config, head_for=lambda features: Prototypes(), generator=generator, device=device, net=net
    )
