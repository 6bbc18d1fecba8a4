"""Matching networks (Vinyals et al. 2016): a query's label is the attention-weighted mean of the support labels.

With full-context embeddings (section 2.1.2) an LSTM reads the support set in both directions, and another embeds the
query while attending to it. Their cells are written out, for torch's LSTM has no rule under vmap.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.metric import CPU, Embedded, MetricConfig, MetricLearner, classification_loss, one_hot
from metarl.fewshot.nets.net import Net
from metarl.rl.recurrent.memory import LSTM
from metarl.types import Params
from metarl.validate import Count, Positive

SMALLEST = 1e-12
"""Added to the attention on a class before its logarithm."""


@dataclass(frozen=True, kw_only=True)
class MatchingConfig(MetricConfig):
    """Settings of matching networks."""

    full_context: bool = False
    """Full-context embeddings: the whole support set has a say in how each example is embedded."""
    processing_steps: Count = 5
    """Steps of the query's attention LSTM."""
    temperature: Positive = 0.1
    """Cosines are divided by it before the softmax. The paper divides by 1, with which the best answer among 5 is given
    at most 65 % and learning stops early; the more ways a training task has, the lower it must be (0.03 for 60)."""


@dataclass(frozen=True)
class Attention:
    """phi: embedded examples (B, S, D) and their labels as one-hot rows (B, S, ways)."""

    temperature: float

    def init(self, features: int, generator: torch.Generator) -> Params:
        return {}

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        return {"support": support, "one_hot": one_hot(y, ways).to(support.dtype)}

    def attention(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Share of each support example in each query's label (eq. 1): (B, Q, D) -> (B, Q, S)."""
        return (cosines(queries, phi["support"]) / self.temperature).softmax(-1)

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Log of the attention on each class, but for a sum over all that is left in: a query that is far from all
        examples has low scores, where its attention would be a share of 1 whatever it is."""
        similar = cosines(queries, phi["support"]) / self.temperature
        largest = similar.max(-1, keepdim=True).values.detach()
        return ((similar - largest).exp() @ phi["one_hot"] + SMALLEST).log() + largest

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        return classification_loss(self, params, batch)


@dataclass(frozen=True)
class FullContext:
    """`Attention` on embeddings that know the whole support set (Vinyals et al. 2016, appendix A)."""

    plain: Attention
    features: int
    processing_steps: int

    def init(self, features: int, generator: torch.Generator) -> Params:
        cells = {
            "forward": self._support_cell(),
            "backward": self._support_cell(),
            "query": self._query_cell(),
        }
        return {f"{cell}.{name}": p for cell, lstm in cells.items() for name, p in lstm.init(generator).items()}

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        """g(x_i) = h_i of the forward LSTM + h_i of the backward one + g'(x_i) (appendix A.2).

        They read class by class, as the episodes of meta-training lie, in whatever order a support set comes.
        """
        order = y.argsort(dim=1, stable=True).unsqueeze(-1).expand_as(support)
        in_order = support.gather(1, order)
        directions = [
            self._read(_cell_params(params, "forward"), in_order),
            self._read(_cell_params(params, "backward"), in_order.flip(1)).flip(1),
        ]
        embedded = torch.zeros_like(support).scatter(1, order, in_order + directions[0] + directions[1])
        return self.plain.condense(params, embedded, y, ways)

    def attention(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        return self.plain.attention(params, phi, self._embed_queries(params, phi, queries))

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        return self.plain.scores(params, phi, self._embed_queries(params, phi, queries))

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        return classification_loss(self, params, batch)

    def _embed_queries(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """h_k = LSTM(f'(x), [h_{k-1}, r_{k-1}]) + f'(x), r the support set by its attention to h (eqs. 3 to 6); h_0 is
        0, and r_0 so the mean of the support set.

        The recurrent input r goes into the cell beside f'(x): with concatenated weights it is the same map.
        """
        num_tasks, size, features = queries.shape
        cell, weights = self._query_cell(), _cell_params(params, "query")
        state = queries.new_zeros(num_tasks * size, cell.state_dim)
        hidden = torch.zeros_like(queries)
        for _ in range(self.processing_steps):
            read = (hidden @ phi["support"].transpose(1, 2)).softmax(-1) @ phi["support"]
            inputs = torch.cat([queries, read], dim=-1).flatten(0, 1)
            output, state = cell.step(weights, inputs, state)
            hidden = output.view(num_tasks, size, features) + queries
            state = torch.cat([hidden.flatten(0, 1), state[:, features:]], dim=-1)
        return hidden

    def _read(self, params: Params, support: Tensor) -> Tensor:
        cell, outputs = self._support_cell(), []
        state = support.new_zeros(len(support), cell.state_dim)
        for t in range(support.shape[1]):
            output, state = cell.step(params, support[:, t], state)
            outputs.append(output)
        return torch.stack(outputs, dim=1)

    def _support_cell(self) -> LSTM:
        return LSTM(self.features, self.features)

    def _query_cell(self) -> LSTM:
        return LSTM(2 * self.features, self.features)


def _cell_params(params: Params, cell: str) -> Params:
    prefix = f"{cell}."
    return {name.removeprefix(prefix): p for name, p in params.items() if name.startswith(prefix)}


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of a (B, N, D) with each of b (B, M, D) -> (B, N, M)."""
    a, b = (x / x.norm(dim=-1, keepdim=True).clamp(min=SMALLEST) for x in (a, b))
    return a @ b.transpose(-1, -2)


def matching(
    spec: DataSpec,
    config: MatchingConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> MetricLearner:
    """Matching networks: a query's label is a sum of the supports' labels, weighed by similarity."""
    plain = Attention(config.temperature)

    def head_for(features: int) -> Attention | FullContext:
        return FullContext(plain, features, config.processing_steps) if config.full_context else plain

    return MetricLearner(spec, config, head_for=head_for, generator=generator, device=device, net=net)
