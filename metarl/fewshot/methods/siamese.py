"""Siamese networks (Koch et al. 2015): two images are of one class as a weighted L1 distance of their embeddings says.

Koch draws pairs, half of them of one class; here every query of an episode is paired with every support example, and
the two kinds of pairs weigh the same. So n images give of the order of n^2 pairs for one forward each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.losses import accuracy
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, one_hot
from metarl.fewshot.nets.net import Net
from metarl.types import Params
from metarl.validate import Count, OpenShare, Positive


@dataclass(frozen=True, kw_only=True)
class SiameseConfig(MetricConfig):
    """Settings of Siamese networks."""

    embedding: Count = 256
    """Sigmoid units whose differences are weighed (Koch: 4,096)."""
    weight_std: Positive | None = None
    """Of the weights into those units at first (Koch: 0.2); left out, they are uniform (Glorot and Bengio 2010)."""
    distance: Positive = 10.0
    """Sum of the weights of the differences at first."""
    offset: float = 1.0
    """Log-odds at first that two equal examples are of one class."""
    same_weight: OpenShare = 0.5
    """Share of the loss that pairs of one class have together (Koch: half of the pairs). With a smaller one the pairs
    of two classes that are hard to tell apart, of which an episode has few, weigh more."""


@dataclass(frozen=True)
class PairVerification:
    """phi: sigmoid embeddings (B, S, E) and the labels as one-hot rows (B, S, ways)."""

    embedding: int
    weight_std: float | None = None
    distance: float = 10.0
    offset: float = 1.0
    same_weight: float = 0.5

    def init(self, features: int, generator: torch.Generator) -> Params:
        return {
            "weight": self._first_weights(features, generator),
            "bias": torch.zeros(self.embedding),
            # a distance at first: the more alike, the likelier the same class
            "distance": torch.full((self.embedding,), -self.distance / self.embedding),
            "offset": torch.tensor(self.offset),
        }

    def _first_weights(self, features: int, generator: torch.Generator) -> Tensor:
        if self.weight_std is not None:
            return torch.randn(features, self.embedding, generator=generator) * self.weight_std
        bound = math.sqrt(6.0 / (features + self.embedding))
        return (torch.rand(features, self.embedding, generator=generator) * 2 - 1) * bound

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        return {"support": self._embed(params, support), "one_hot": one_hot(y, ways).to(support.dtype)}

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Mean over a class's examples of the log-odds that they and the query are of one class."""
        members = phi["one_hot"]
        return self.log_odds(params, phi, queries) @ members / members.sum(1, keepdim=True)

    def log_odds(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """sum_j alpha_j |h_1j - h_2j| before the sigmoid (Koch et al. 2015, section 3.1), (B, Q, S)."""
        embedded = self._embed(params, queries)
        differences = (embedded.unsqueeze(2) - phi["support"].unsqueeze(1)).abs()
        return differences @ params["distance"] + params["offset"]

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        """Cross-entropy of same or not (eq. 5): the mean over pairs of each kind, weighted."""
        phi = self.condense(params, batch.support, batch.support_y, batch.ways)
        log_odds = self.log_odds(params, phi, batch.query)
        same = one_hot(batch.query_y, phi["one_hot"].shape[-1]).to(log_odds.dtype) @ phi["one_hot"].transpose(1, 2)
        losses = F.binary_cross_entropy_with_logits(log_odds, same, reduction="none")
        of_same = (losses * same).sum() / same.sum()
        of_others = (losses * (1 - same)).sum() / (1 - same).sum()
        loss = self.same_weight * of_same + (1 - self.same_weight) * of_others
        members = phi["one_hot"]
        scores = log_odds.detach() @ members / members.sum(1, keepdim=True)
        return loss, accuracy(scores, batch.query_y).mean()

    def _embed(self, params: Params, features: Tensor) -> Tensor:
        return torch.sigmoid(features @ params["weight"] + params["bias"])


def siamese(
    spec: DataSpec,
    config: SiameseConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """Siamese networks: the class of the support that is most likely of the query's class."""
    return MetricLearner(
        spec,
        config,
        head_for=lambda features: PairVerification(
            config.embedding, config.weight_std, config.distance, config.offset, config.same_weight
        ),
        generator=generator,
        device=device,
        net=net,
    )
