"""Nearest centroid of the inputs as they are, by cosine: what few-shot learning has to beat.

On TF-IDF inputs (`metarl.fewshot.data.intents`) it is the classifier of texts before neural nets. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples, check_support, count_ways, stack_queries, stack_supports
from metarl.fewshot.learner import Mode, check_mode
from metarl.fewshot.losses import accuracy, cross_entropy
from metarl.fewshot.methods.matching import cosines
from metarl.fewshot.methods.metric import class_means
from metarl.fewshot.methods.transfer import normalised
from metarl.fewshot.nets.net import Net
from metarl.learn.params import check_tensors_match
from metarl.learner import CPU
from metarl.types import Metrics, Params, Phi, TaskData
from metarl.validate import Checked, Positive


@dataclass(frozen=True, kw_only=True)
class NearestCentroidConfig(Checked):
    """Settings of nearest centroids in the space of the inputs, where nothing is learned."""

    temperature: Positive = 0.1


class NearestCentroid:
    """A FewShotLearner without a net, and its own behaviour: phi is class means of normalised inputs."""

    version = 0
    has_statistics = False
    max_ways = None

    def __init__(self, spec: DataSpec, config: NearestCentroidConfig) -> None:
        if spec.regression:
            raise UserError("nearest centroid names classes, it cannot learn a regression; use MAML, ANIL or Reptile")
        self.spec, self.config = spec, config

    def behaviour(self) -> NearestCentroid:
        return self

    def prior(self) -> Params:
        return {}

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Examples]) -> list[Phi]:
        for support in supports:
            check_support(support, input_shape=self.spec.input_shape)
        return [{"prototypes": self._centroids(s.x.unsqueeze(0), s.y.unsqueeze(0))[0]} for s in supports]

    def adapt_curve(self, supports: Sequence[Examples]) -> dict[int, list[Phi]]:
        return {1: self.adapt([self.prior()] * len(supports), supports)}

    def predict(self, phis: Sequence[Phi], queries: Sequence[Tensor], *, mode: Mode = "inductive") -> list[Tensor]:
        check_mode(mode)
        if not all(phis):
            raise UserError("the prior of a metric method knows no class; adapt it to a support set first")
        return [
            self._scores(phi["prototypes"].unsqueeze(0), x.unsqueeze(0))[0]
            for phi, x in zip(phis, queries, strict=True)
        ]

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """The scores of a meta-batch; nothing is learned."""
        support = stack_supports([d.supports[0] for d in batch], input_shape=self.spec.input_shape)
        query = stack_queries([d.query for d in batch], input_shape=self.spec.input_shape)
        scores = self._scores(self._centroids(support.x, support.y), query.x)
        return {
            "meta_loss": float(cross_entropy(scores, query.y).mean()),
            "accuracy/post": float(accuracy(scores, query.y).mean()),
            "grad_norm": 0.0,
            "meta_step_accepted": 1.0,
        }

    def _centroids(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, S, ...), (B, S) -> (B, ways, D)."""
        return class_means(normalised(x.flatten(2)), y, count_ways(y))

    def _scores(self, prototypes: Tensor, x: Tensor) -> Tensor:
        return cosines(x.flatten(2), prototypes) / self.config.temperature

    def state_dict(self) -> dict[str, Any]:
        return {"theta": {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is nothing to load, but the state of another method is refused by name."""
        check_tensors_match({}, state["theta"], what="theta")


def nearest_centroid(
    spec: DataSpec,
    config: NearestCentroidConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> NearestCentroid:
    """It draws nothing, needs no net and computes on the CPU."""
    return NearestCentroid(spec, config)
