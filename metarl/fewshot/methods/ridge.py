"""Ridge regression as the classifier of a task, differentiated in closed form (R2-D2, Bertinetto et al. 2019).

Where prototypes weigh every feature alike, a task's ridge regression finds the combination of features that tells its
classes apart. It is solved over the S support examples and not the D features (Woodbury): an S x S system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, classification_loss, one_hot
from metarl.fewshot.nets.net import Net
from metarl.types import Params
from metarl.validate import Positive


@dataclass(frozen=True, kw_only=True)
class RidgeConfig(MetricConfig):
    """Learned with the embedding, both by their logarithms, starting here."""

    penalty: Positive = 1.0
    """lambda, in units of the support set's mean squared length, so that it means the same for every embedding."""
    scale: Positive = 10.0
    """alpha: class scores are the regression's outputs, 1 for the class and 0 for the others, times it. The paper's
    offset beta shifts all classes alike, which no softmax sees, and is left out."""


@dataclass(frozen=True)
class RidgeRegression:
    """phi: a linear layer a task, (B, D, ways)."""

    penalty: float = 1.0
    scale: float = 10.0

    def init(self, features: int, generator: torch.Generator) -> Params:
        return {
            "log_penalty": torch.tensor(math.log(self.penalty)),
            "log_scale": torch.tensor(math.log(self.scale)),
        }

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        """W = X^T (X X^T + lambda I)^-1 Y (eq. 6), X (B, S, D) and Y one-hot."""
        products = support @ support.transpose(1, 2)
        lengths = products.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
        penalty = params["log_penalty"].exp() * lengths
        identity = torch.eye(support.shape[1], dtype=support.dtype, device=support.device)
        dual = torch.linalg.solve(products + penalty.view(-1, 1, 1) * identity, one_hot(y, ways).to(support.dtype))
        return {"weight": support.transpose(1, 2) @ dual}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        return params["log_scale"].exp() * (queries @ phi["weight"])

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        return classification_loss(self, params, batch)


def ridge(
    spec: DataSpec,
    config: RidgeConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """Ridge regression on embedded supports, in closed form (Bertinetto et al. 2019)."""
    return MetricLearner(
        spec,
        config,
        head_for=lambda features: RidgeRegression(config.penalty, config.scale),
        generator=generator,
        device=device,
        net=net,
    )
