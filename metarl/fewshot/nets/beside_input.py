"""A net for inputs whose cosines already say much, such as TF-IDF: it keeps them and learns beside them.

A net that replaces such inputs by features of its own first loses what they say and then learns the training classes by
heart. Here theta starts as the inputs themselves. A random projection keeps their cosines but for an error of about
1 / sqrt(projection) (Johnson and Lindenstrauss 1984), so the untrained net compares as the inputs do, and learning can
only bend that. There is no ReLU: on a projection of sparse inputs it would throw half of the little they share away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.fewshot.examples import Shape
from metarl.types import Params

SMALLEST = 1e-12
"""Added to a squared length before its root, so that a row of zeros stays one, and has derivatives of all orders."""


@dataclass(frozen=True)
class BesideInput:
    """Features scale * [unit(gain * x), unit((gain * x) A)], all three learned.

    Two parts of unit length: squared distances of features are 2 scale^2 (2 - cos - cos'), so a softmax over them is
    one over 4 scale^2 times the mean cosine. Stacked params (B, ...) serve x (B, N, D).
    """

    input_dim: int
    projection: int
    scale: float

    @property
    def input_shape(self) -> Shape:
        return (self.input_dim,)

    @property
    def output_dim(self) -> int:
        return self.input_dim + self.projection

    def init(self, generator: torch.Generator) -> Params:
        shape = (self.input_dim, self.projection)
        return {
            "gain": torch.ones(self.input_dim),
            "projection": torch.randn(shape, generator=generator) / math.sqrt(self.projection),
            "scale": torch.full((1,), self.scale),
        }

    def statistics_shapes(self) -> dict[str, Shape]:
        return {}

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Params | None = None
    ) -> tuple[Tensor, Params]:
        x = x * params["gain"].unsqueeze(-2)
        features = torch.cat([unit(x), unit(x @ params["projection"])], dim=-1)
        return features * params["scale"].unsqueeze(-2), {}


def unit(x: Tensor) -> Tensor:
    """Rows (..., D) of length 1; a row of zeros stays as it is."""
    return x * (x.square().sum(-1, keepdim=True) + SMALLEST).rsqrt()
