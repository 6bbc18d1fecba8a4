"""Dense layers on vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.layers import init_norm, normalise, statistics_shapes, uniform
from metarl.fewshot.nets.net import Statistics
from metarl.fewshot.nets.norm import Norm
from metarl.rl.policies import linear
from metarl.types import Params
from metarl.validate import Checked


@dataclass(frozen=True)
class MLP(Checked):
    """Dense layers with ReLU after each.

    Without normalisation it broadcasts: stacked params (B, ...) serve x (B, N, D), one product for all tasks.
    """

    input_dim: int
    hidden: tuple[int, ...]
    norm: Norm = "none"
    fused: bool = False

    @property
    def input_shape(self) -> Shape:
        return (self.input_dim,)

    @property
    def output_dim(self) -> int:
        return self.hidden[-1]

    def init(self, generator: torch.Generator) -> Params:
        params: Params = {}
        n_in = self.input_dim
        for layer, n_out in enumerate(self.hidden):
            params[f"w{layer}"] = uniform((n_in, n_out), math.sqrt(6.0 / (n_in + n_out)), generator)
            params[f"b{layer}"] = torch.zeros(n_out)
            params |= init_norm(self.norm, layer, n_out)
            n_in = n_out
        return params

    def statistics_shapes(self) -> dict[str, Shape]:
        return statistics_shapes(self.norm, self.hidden)

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        used: Statistics = {}
        for layer in range(len(self.hidden)):
            x = linear(x, params[f"w{layer}"], params[f"b{layer}"])
            x = F.relu(normalise(self.norm, params, x, layer, groups, statistics, used, fused=self.fused))
        return x, used
