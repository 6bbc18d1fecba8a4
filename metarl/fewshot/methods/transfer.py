"""The transfer baseline (Chen et al. 2019): pre-train a classifier of all training classes, then fit a head on the
support set's features, either nearest class mean by cosine or a linear layer by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.losses import accuracy, cross_entropy
from metarl.fewshot.methods.matching import cosines
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, class_means
from metarl.fewshot.nets.net import Net
from metarl.learn.inner_loop import adapt_tasks
from metarl.rl.policies import linear
from metarl.types import Params, Task
from metarl.validate import Count, Positive


@dataclass(frozen=True, kw_only=True)
class TransferConfig(MetricConfig):
    """Settings of an embedding from plain classification, and of what is fitted to it for a new task."""

    head: Literal["centroid", "fine_tune"] = "centroid"
    fine_tune_steps: Count = 100
    """Gradient steps of a new linear layer on normalised features."""
    fine_tune_lr: Positive = 1.0
    temperature: Positive = 0.1
    """Cosines are divided by it before the softmax."""


@dataclass(frozen=True)
class Classifier:
    """What both heads share: pre-training on the labels of all training classes."""

    train_classes: int

    def init(self, features: int, generator: torch.Generator) -> Params:
        bound = math.sqrt(6.0 / (features + self.train_classes))
        return {
            "weight": (torch.rand(features, self.train_classes, generator=generator) * 2 - 1) * bound,
            "bias": torch.zeros(self.train_classes),
        }

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        """Support and query examples alike, as one batch of the classifier."""
        classes = train_classes(batch.tasks).to(batch.query_y.device)
        y = classes.gather(1, torch.cat([batch.support_y, batch.query_y], dim=1))
        scores = torch.cat([batch.support, batch.query], dim=1) @ params["weight"] + params["bias"]
        return cross_entropy(scores, y).mean(), accuracy(scores.detach(), y).mean()


@dataclass(frozen=True)
class CentroidHead(Classifier):
    """phi: normalised class means (B, ways, D)."""

    temperature: float

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        return {"prototypes": class_means(normalised(support), y, ways)}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        return cosines(queries, phi["prototypes"]) / self.temperature


@dataclass(frozen=True)
class FineTunedHead(Classifier):
    """phi: a linear layer for each task, (B, D, ways) and (B, ways), trained from 0 on normalised features."""

    steps: int
    lr: float
    temperature: float

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        start = {
            "weight": support.new_zeros(support.shape[-1], ways),
            "bias": support.new_zeros(ways),
        }
        return adapt_tasks(
            lambda head, batch: cross_entropy(self._outputs(head, batch["x"]), batch["y"]),
            start,
            [{"x": normalised(support).detach(), "y": y}] * self.steps,
            inner_lr=self.lr,
            first_order=True,
            backend="batched",
        )

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        return self._outputs(phi, normalised(queries))

    def _outputs(self, head: Params, x: Tensor) -> Tensor:
        return linear(x, head["weight"], head["bias"]) / self.temperature


def normalised(features: Tensor) -> Tensor:
    """Features (..., D) of length 1."""
    return features / features.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def train_classes(tasks: Sequence[Task]) -> Tensor:
    """Places of each task's classes among the training classes, (B, ways). Raises UserError for tasks without them."""
    rows = [task.params.get("train_classes") for task in tasks]
    if any(row is None for row in rows):
        raise UserError(
            "a task does not say which training classes it has, which the transfer baseline learns to tell apart; "
            "give Task.params['train_classes'], as ClassEpisodes does"
        )
    return torch.tensor(rows)


def transfer(
    spec: DataSpec,
    config: TransferConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """No episodes: a classifier of all training classes, whose embedding a new task's head is fitted to."""

    def head_for(features: int) -> CentroidHead | FineTunedHead:
        if config.head == "centroid":
            return CentroidHead(spec.train_classes, config.temperature)
        return FineTunedHead(spec.train_classes, config.fine_tune_steps, config.fine_tune_lr, config.temperature)

    return MetricLearner(spec, config, head_for=head_for, generator=generator, device=device, net=net)
