"""A net with one linear layer on top, which tells a task's classes apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.layers import uniform
from metarl.fewshot.nets.net import Net, Statistics
from metarl.rl.policies import linear
from metarl.types import Params

HEAD = ("head.weight", "head.bias")


@dataclass(frozen=True)
class WithHead:
    """A body with one linear layer on top: class scores, or the outputs of a regression."""

    body: Net
    output_dim: int
    from_zero: bool = False
    """Whether the layer starts from 0. A gradient step of size a on N examples makes it the class means of features f,
    less their common mean: scores are a / N times the sum of f(x) . f(x_i) over a class's examples."""

    @property
    def input_shape(self) -> Shape:
        return self.body.input_shape

    def init(self, generator: torch.Generator) -> Params:
        bound = 0.0 if self.from_zero else math.sqrt(6.0 / (self.body.output_dim + self.output_dim))
        return self.body.init(generator) | {
            "head.weight": uniform((self.body.output_dim, self.output_dim), bound, generator),
            "head.bias": torch.zeros(self.output_dim),
        }

    def statistics_shapes(self) -> dict[str, Shape]:
        return self.body.statistics_shapes()

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        features, used = self.body.apply(params, x, groups=groups, statistics=statistics)
        return linear(features, params["head.weight"], params["head.bias"]), used


def body_of(net: Net) -> Net:
    """The net without the head that it may have."""
    return net.body if isinstance(net, WithHead) else net
