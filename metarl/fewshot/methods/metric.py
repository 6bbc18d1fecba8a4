"""What the metric methods share: one embedding for all tasks, and a head that compares queries with a support set.

All episodes of a meta-batch go through the net in one forward, so its batch statistics are those of the meta-batch;
their moving averages serve held-out tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples, check_support, count_ways, stack_queries, stack_supports
from metarl.fewshot.learner import Mode, check_mode
from metarl.fewshot.losses import accuracy, cross_entropy
from metarl.fewshot.methods.schedule import ScheduleConfig, ScheduledAdam
from metarl.fewshot.nets.make import NetConfig, for_scores, make_net
from metarl.fewshot.nets.net import Net, Statistics, initial_statistics
from metarl.learn import params as P
from metarl.learn.params import check_tensors_match
from metarl.learner import CPU
from metarl.types import Metrics, Params, Phi, Task, TaskData

MOMENTUM = 0.1
"""Share of the newest batch in the moving averages."""
HEAD_PREFIX = "compare."
SUPPORT = ("support_x", "support_y")


@dataclass(frozen=True, kw_only=True)
class MetricConfig(ScheduleConfig):
    """Settings that all methods share which compare embeddings."""

    net: NetConfig = NetConfig(pool="max")


@dataclass(frozen=True)
class Embedded:
    """A meta-batch after the net."""

    tasks: Sequence[Task]
    ways: int
    support: Tensor  # (B, S, D)
    support_y: Tensor  # (B, S)
    query: Tensor  # (B, Q, D)
    query_y: Tensor  # (B, Q)


class Head(Protocol):
    """How queries are compared with a support set; tensors are (B, ...), one row a task."""

    def init(self, features: int, generator: torch.Generator) -> Params: ...

    def condense(self, params: Params, support: Tensor, y: Tensor, ways: int) -> Params:
        """phi: what is kept of embeddings (B, S, D) with labels (B, S)."""
        ...

    def scores(self, params: Params, phi: Params, queries: Tensor) -> Tensor:
        """Class scores (B, Q, ways) of embedded queries (B, Q, D); exp(scores) are proportional to probabilities."""
        ...

    def loss(self, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
        """What meta-training minimises, and the accuracy."""
        ...


def classification_loss(head: Head, params: Params, batch: Embedded) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the query scores, the loss of most heads, and their accuracy."""
    phi = head.condense(params, batch.support, batch.support_y, batch.ways)
    scores = head.scores(params, phi, batch.query)
    return cross_entropy(scores, batch.query_y).mean(), accuracy(scores.detach(), batch.query_y).mean()


@dataclass(frozen=True, kw_only=True)
class MetricBehaviour:
    """A FewShotBehaviour whose phi is what its head keeps of the support set, which stays beside it."""

    spec: DataSpec
    net: Net
    head: Head
    theta: Params
    statistics: Statistics
    device: torch.device
    version: int
    max_ways = None

    @property
    def has_statistics(self) -> bool:
        return bool(self.statistics)

    def prior(self) -> Params:
        """Nothing is known before the support set."""
        return {}

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Examples]) -> list[Phi]:
        """The head's summary of each support set; an earlier one is replaced."""
        for support in supports:
            check_support(support, input_shape=self.spec.input_shape)
        with torch.no_grad():
            return [self._condense_one(support.to(self.device)) for support in supports]

    def adapt_curve(self, supports: Sequence[Examples]) -> dict[int, list[Phi]]:
        return {1: self.adapt([self.prior()] * len(supports), supports)}

    def predict(self, phis: Sequence[Phi], queries: Sequence[Tensor], *, mode: Mode = "inductive") -> list[Tensor]:
        check_mode(mode)
        with torch.no_grad():
            return [self._predict_one(phi, x.to(self.device), mode).cpu() for phi, x in zip(phis, queries, strict=True)]

    def _predict_one(self, phi: Params, x: Tensor, mode: Mode) -> Tensor:
        if not phi:
            raise UserError("the prior of a metric method knows no class; adapt it to a support set first")
        phi = P.to(phi, self.device)
        if not self.has_statistics or mode == "inductive":
            queries = self._embed(x, statistics=self.statistics)[0]
            return self.head.scores(self.compare_params(), _add_task(phi), queries.unsqueeze(0))[0]
        groups = x.unsqueeze(1) if mode == "single" else x.unsqueeze(0)
        return torch.cat([self._embed_together(phi, group) for group in groups])

    def _embed_together(self, phi: Params, queries: Tensor) -> Tensor:
        """Scores of queries that share their batch statistics with the support set."""
        support = Examples(phi["support_x"], phi["support_y"])
        features = self._embed(torch.cat([support.x, queries]))[0].unsqueeze(0)
        compare, split = self.compare_params(), len(support.x)
        summary = self.head.condense(compare, features[:, :split], support.y.unsqueeze(0), count_ways(support.y))
        return self.head.scores(compare, summary, features[:, split:])[0]

    def _condense_one(self, support: Examples) -> Params:
        features = self._embed(support.x, statistics=self.statistics)[0].unsqueeze(0)
        ways = count_ways(support.y)
        summary = self.head.condense(self.compare_params(), features, support.y.unsqueeze(0), ways)
        kept = {name: p[0] for name, p in summary.items()} | dict(zip(SUPPORT, (support.x, support.y), strict=True))
        return P.to(P.detach(kept), CPU)

    def _embed(self, x: Tensor, *, statistics: Statistics | None = None) -> tuple[Tensor, Statistics]:
        """Features (N, D) of inputs (N, ...), and the batch statistics used."""
        return self.net.apply(without_head(self.theta), x, statistics=statistics)

    def features(self, x: Tensor) -> Tensor:
        """Embeddings (N, D) of inputs (N, ...), normalised by the moving averages; not differentiated."""
        with torch.no_grad():
            return self._embed(x.to(self.device), statistics=self.statistics)[0].cpu()

    def compare_params(self) -> Params:
        """The head's own part of theta."""
        return of_head(self.theta)


def of_head(theta: Params) -> Params:
    """The head's own part of theta."""
    return {name.removeprefix(HEAD_PREFIX): p for name, p in theta.items() if name.startswith(HEAD_PREFIX)}


def without_head(theta: Params) -> Params:
    """The net's part of theta."""
    return {name: p for name, p in theta.items() if not name.startswith(HEAD_PREFIX)}


class MetricLearner:
    """A FewShotLearner: Adam on the episodes' loss."""

    def __init__(
        self,
        spec: DataSpec,
        config: MetricConfig,
        *,
        head_for: Callable[[int], Head],
        generator: torch.Generator,
        device: torch.device = CPU,
        net: Net | None = None,
    ) -> None:
        """`net` takes the place of the one that `config.net` describes; its outputs are the embedding.

        `head_for(features)` makes the head for embeddings of that size.
        """
        if spec.regression:
            raise UserError("a metric method names classes, it cannot learn a regression; use MAML, ANIL or Reptile")
        self.spec, self.config, self.device = spec, config, device
        self._training_net = net or make_net(spec.input_shape, config.net, fused=True)
        self.net = for_scores(self._training_net)
        self.head = head_for(self.net.output_dim)
        weights, compare = self.net.init(generator), self.head.init(self.net.output_dim, generator)
        self.theta = P.to(weights | {HEAD_PREFIX + name: p for name, p in compare.items()}, device)
        self.statistics = P.to(initial_statistics(self.net), device)
        self._adam = ScheduledAdam(config)
        self._num_updates = 0

    def behaviour(self) -> MetricBehaviour:
        return MetricBehaviour(
            spec=self.spec,
            net=self.net,
            head=self.head,
            theta=self.theta,
            statistics=self.statistics,
            device=self.device,
            version=self._num_updates,
        )

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        support = stack_supports([data.supports[0] for data in batch], input_shape=self.spec.input_shape)
        query = stack_queries([data.query for data in batch], input_shape=self.spec.input_shape)
        leaves = P.trainable(self.theta)
        tasks = [data.task for data in batch]
        loss, correct, used = self.batch_loss(leaves, tasks, support.to(self.device), query.to(self.device))
        theta, metrics = self._adam.apply(P.gradient(loss, leaves), self.theta, loss=float(loss.detach()))
        if not P.is_finite(theta):
            raise NonFiniteError("the meta-step gave non-finite parameters; theta was left as it was, lower lr")
        self._num_updates += 1
        if metrics["meta_step_accepted"]:
            self.theta = theta
            self.statistics = {
                name: (1 - MOMENTUM) * s + MOMENTUM * used[name].detach().mean(0) for name, s in self.statistics.items()
            }
        return metrics | {"accuracy/post": float(correct)}

    def batch_loss(
        self, theta: Params, tasks: Sequence[Task], support: Examples, query: Examples
    ) -> tuple[Tensor, Tensor, Statistics]:
        """Loss and accuracy of B tasks, and the batch statistics; support (B, S, ...), query (B, Q, ...)."""
        num_tasks, size = support.x.shape[:2]
        inputs = torch.cat([support.x, query.x], dim=1).flatten(0, 1)
        features, used = self._training_net.apply(without_head(theta), inputs)
        features = features.unflatten(0, (num_tasks, -1))
        ways = count_ways(support.y)
        embedded = Embedded(tasks, ways, features[:, :size], support.y, features[:, size:], query.y)
        return *self.head.loss(of_head(theta), embedded), used

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "statistics": self.statistics,
            "meta_optimizer": self._adam.state_dict(),
            "num_updates": self._num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        check_tensors_match(self.statistics, state["statistics"], what="statistics")
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.statistics = P.to({name: state["statistics"][name] for name in self.statistics}, self.device)
        self._adam.load_state_dict(state["meta_optimizer"])
        self._num_updates = state.get("num_updates", 0)  # older checkpoints have none


def _add_task(phi: Params) -> Params:
    return {name: p.unsqueeze(0) for name, p in phi.items() if name not in SUPPORT}


def one_hot(y: Tensor, ways: int) -> Tensor:
    """(B, S) labels -> (B, S, ways) float."""
    return torch.nn.functional.one_hot(y, ways).float()


def class_means(features: Tensor, y: Tensor, ways: int) -> Tensor:
    """Mean of each class's rows: (B, S, D), (B, S) -> (B, ways, D)."""
    members = one_hot(y, ways).to(features.dtype)
    return members.transpose(1, 2) @ features / members.sum(1).unsqueeze(-1)
