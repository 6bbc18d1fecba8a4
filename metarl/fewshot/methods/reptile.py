"""Reptile (Nichol et al. 2018): theta moves towards the weights that ordinary training on a task leads to.

A task's training set is its support and query set together, since no query loss is differentiated. Mini-batches take
the classes in turn (the authors shuffle), so that nothing is random and each holds as much of one class as of another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from metarl.config import MAY_DIFFER
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.fast_weights import FastWeights, few_shot_learner
from metarl.fewshot.methods.gradient import GradientConfig, TaskLoss, choose_backend, net_with_head
from metarl.fewshot.nets.net import Net, check_outputs
from metarl.fewshot.nets.used_inputs import UsedInputs, skips_zeros, used_inputs
from metarl.learn import params as P
from metarl.learn.gradient_learner import CPU, Batch, GradientLearner, MetaBatch
from metarl.learn.inner_loop import LossFn, once
from metarl.learn.meta_optimizer import Interpolation
from metarl.learn.params import check_tensors_match
from metarl.types import Metrics, Params
from metarl.validate import Bounds, Count, Natural, Positive, Search, check_unused

BETA2, EPS = 0.999, 1e-8


@dataclass(frozen=True, kw_only=True)
class ReptileConfig(GradientConfig):
    """Settings of Reptile."""

    lr: Positive = 1e-3  # of no effect, and so not searched
    inner_lr: Annotated[Positive, Search(1e-4, 1.0)] = 1e-3
    """Of Adam without momentum (beta1 = 0), whose second moments are kept from task to task."""
    inner_steps: Count = 5
    inner_batch: Count = 10
    """Examples of an inner step of meta-training."""
    test_steps: tuple[Natural, ...] = field(default=(5, 50), metadata={MAY_DIFFER: True})
    test_batch: Count = 5
    meta_lr: Annotated[float, Bounds(above=0, most=1), Search(0.05, 1.0)] = 1.0
    """Share of the way to the mean phi at the first meta-update; it falls linearly to 0."""
    meta_lr_iterations: Count = 100_000
    """Meta-updates until it is 0, so at least those of the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        optimizer = ("lr", "lr_halve_every_iterations", "max_grad_norm")
        check_unused(self, optimizer, why="Reptile's meta-step is one of meta_lr towards the mean phi")
        check_unused(self, ("query_statistics",), why="Reptile has no query set")


class ReptileLoop:
    """An `Adaptation` and an OuterStep in one; between tasks it keeps the inner optimizer's second moments."""

    def __init__(self, loss: TaskLoss, config: ReptileConfig, weights: Params) -> None:
        self.loss, self.config = loss, config
        self._moments = {name: torch.zeros_like(p) for name, p in weights.items()}
        self._inner_steps_done, self._iterations = 0, 0

    def weights(self, theta: Params) -> Params:
        return {name: theta[name] for name in self._moments}

    def curve(self, theta: Params, phis: Params, support: Batch, steps: Sequence[int]) -> list[Params]:
        batches = minibatches(support["y"], self.config.test_batch)
        moments, curve, done = self._repeated_moments(support), [], 0
        for step in steps:
            phis, moments = self._descend(phis, moments, support, batches, done, step)
            done = step
            curve.append(phis)
        return curve

    def on(self, used: UsedInputs) -> ReptileLoop:
        loop = copy(self)
        loop.loss, loop._moments = replace(self.loss, net=used.net), used.take(P.to(self._moments, used.columns.device))
        return loop

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        both = {name: torch.cat([x, batch.query[name]], 1) for name, x in batch.supports[0].items()}
        if not skips_zeros(self.loss.net):
            return self._step(theta, both)
        used = used_inputs(self.loss.net, both["x"])
        part = self.on(used)
        new, metrics = part._step(used.take(theta), used.of(both))
        if metrics["meta_step_accepted"]:
            own = P.to(self._moments, both["x"].device)
            faded = {name: BETA2**self.config.inner_steps * m for name, m in own.items()}
            self._moments = used.put(part._moments, faded)
            self._inner_steps_done, self._iterations = part._inner_steps_done, part._iterations
        return used.put(new, theta), metrics

    def _step(self, theta: Params, both: Batch) -> tuple[Params, Metrics]:
        config = self.config
        start = P.repeat(theta, len(both["x"]))
        ways = self.loss.ways(both)
        phis, moments = self._descend(
            start, self._repeated_moments(both), both, minibatches(both["y"], config.inner_batch), 0, config.inner_steps
        )
        left = max(0.0, 1 - self._iterations / config.meta_lr_iterations)
        scores = self._scores(phis, both, ways)
        if not P.is_finite(phis):
            return theta, scores | {"meta_step_accepted": 0.0}
        new, metrics = Interpolation(meta_lr=max(config.meta_lr * left, 1e-12)).step(phis, theta)
        # tasks of a meta-batch run side by side from the same moments; the authors' run in turn, each on the last's
        self._moments = {name: m.mean(0) for name, m in moments.items()}
        self._inner_steps_done += config.inner_steps
        self._iterations += 1
        return new, scores | {"grad_norm": metrics["meta_step_norm"], "meta_step_accepted": 1.0}

    def _scores(self, phis: Params, examples: Batch, ways: int | None) -> Metrics:
        """Of the first task's phi, on the examples that it was trained on: Reptile has no others."""
        with torch.no_grad():
            outputs, _ = self.loss.net.apply(P.unstack(phis)[0], examples["x"][0])
            loss = float(self.loss.losses(outputs, examples["y"][0], ways))
            return {"meta_loss": loss} | self.loss.score(outputs, examples["y"][0], ways)

    def _repeated_moments(self, examples: Batch) -> Params:
        x = examples["x"]
        return P.repeat(P.to(self._moments, x.device), len(x))

    def _descend(
        self, phis: Params, moments: Params, data: Batch, batches: Tensor, first: int, last: int
    ) -> tuple[Params, Params]:
        """Adam without momentum (Kingma and Ba 2015, beta1 = 0), inner steps first to last - 1 of all tasks."""
        loss = self.loss.inner(self.loss.ways(data))
        for step in range(first, last):
            rows = batches[:, step % batches.shape[1]]
            batch = {name: take_rows(x, rows) for name, x in data.items()}
            grads = task_gradients(loss, phis, batch, self.loss.net, self.config)
            correction = 1 - BETA2 ** (self._inner_steps_done + step + 1)
            moments = {name: BETA2 * m + (1 - BETA2) * grads[name].square() for name, m in moments.items()}
            phis = {
                name: p - self.config.inner_lr * grads[name] / ((moments[name] / correction).sqrt() + EPS)
                for name, p in phis.items()
            }
        return phis, moments

    def state_dict(self) -> dict[str, Any]:
        return {
            "moments": self._moments,
            "inner_steps_done": self._inner_steps_done,
            "iterations": self._iterations,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self._moments, state["moments"], what="the inner optimizer's moments")
        self._moments = {name: state["moments"][name] for name in self._moments}
        self._inner_steps_done, self._iterations = state["inner_steps_done"], state["iterations"]


def minibatches(y: Tensor, size: int) -> Tensor:
    """Row numbers (B, batches, size) that take the classes of labels (B, N) in turn and go round when data end."""
    num_tasks, total = y.shape[:2]
    if y.is_floating_point():
        order = torch.arange(total, device=y.device).expand(num_tasks, -1)
    else:
        same = y.unsqueeze(-1) == y.unsqueeze(-2)
        earlier = same.tril(-1).sum(-1)  # how many of its class come before
        order = (earlier * (int(y.max()) + 1) + y).argsort(-1)
    size = min(size, total)
    batches = math.lcm(size, total) // size
    return order.repeat(1, size * batches // total + 1)[:, : size * batches].unflatten(1, (batches, size))


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """x (B, N, ...), rows (B, M) -> (B, M, ...)."""
    return x[torch.arange(len(x), device=x.device).unsqueeze(-1), rows]


def task_gradients(loss: LossFn, phis: Params, batch: Batch, net: Net, config: ReptileConfig) -> Params:
    """Gradient of each task's loss in its own params, stacked (B, ...)."""
    x = batch["x"]
    backend = choose_backend(net, config.backend, x.device, examples=x.shape[1], first_order=True)
    if backend == "batched":
        return once(lambda params: loss(params, batch).sum(), phis)
    if backend == "vmap":
        return torch.func.vmap(torch.func.grad(loss))(phis, batch)
    tasks = zip(P.unstack(phis), P.unstack(batch), strict=True)
    return P.stack([once(lambda p, data=data: loss(p, data), params) for params, data in tasks])


def reptile(
    spec: DataSpec,
    config: ReptileConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> GradientLearner[FastWeights]:
    """Reptile: theta moves towards the parameters that plain training on a task ends at."""
    net = net or net_with_head(spec, config)
    check_outputs(net, spec.outputs)
    weights = net.init(generator)
    loop = ReptileLoop(TaskLoss(net=net, regression=spec.regression), config, weights)
    return few_shot_learner(
        spec, config, net=net, theta=weights, adaptation=lambda: copy(loop), outer_step=loop, device=device
    )
