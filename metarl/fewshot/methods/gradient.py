"""The gradient methods' inner loop and its backends: phi = theta after gradient steps on a support set.

MAML and Meta-SGD differentiate the query loss through it (`MetaGradient`); ANIL and Reptile adapt in ways of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from metarl.config import MAY_DIFFER
from metarl.errors import SettingError, UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import count_ways
from metarl.fewshot.losses import accuracy, cross_entropy, squared_error
from metarl.fewshot.methods.schedule import ScheduleConfig, ScheduledAdam
from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.conv4 import Conv4
from metarl.fewshot.nets.make import NetConfig, make_net
from metarl.fewshot.nets.mlp import MLP
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.used_inputs import UsedInputs, skips_zeros, used_inputs
from metarl.fewshot.nets.with_head import WithHead, body_of
from metarl.learn import params as P
from metarl.learn.gradient_learner import Batch, MetaBatch
from metarl.learn.inner_loop import Backend, InnerLoop
from metarl.learn.step_sizes import StepSizes
from metarl.types import Metrics, Params
from metarl.validate import Count, Natural, Positive, Search

BackendChoice = Literal["auto", "vmap", "loop", "batched"]


@dataclass(frozen=True, kw_only=True)
class GradientConfig(ScheduleConfig):
    """Settings that all methods with an inner loop share."""

    inner_lr: Annotated[Positive, Search(0.001, 1.0)] = 0.4
    inner_steps: Count = 1
    """Of meta-training."""
    test_steps: tuple[Natural, ...] = field(default=(1, 5, 10), metadata={MAY_DIFFER: True})
    """Held-out tasks are scored after so many inner steps each; `adapt` takes the last number of them."""
    query_statistics: Literal["query", "support"] = "query"
    """Whose mean and variance normalise the query set in meta-training: its own, as in MAML, which is transductive and
    loses accuracy where queries come one at a time, or the support set's."""
    backend: BackendChoice = "auto"
    """How a meta-batch is computed; auto: batched for plain dense nets and, on a CPU and to first order, for
    convolutions; else vmap, or a loop over tasks on a CPU for images of more than 100,000 pixels a task together."""
    head_from_zero: bool = False
    """Start the last layer from 0: one inner step then compares with class means, before any meta-training."""
    head_stays_zero: bool = False
    """And leave it at 0 in theta, where else it is learned: inner steps alone move it, so that all class numbers are
    alike and nothing of earlier tasks stands in it (Kao et al. 2022, the zeroing trick). Such a head passes no gradient
    down in the first step, so that with `inner_steps=1` it alone adapts, by class means as in `head_from_zero`."""
    net: NetConfig = NetConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_stays_zero and not self.head_from_zero:
            raise SettingError("head_stays_zero=True needs a head that starts from 0; set head_from_zero=True too")
        if list(self.test_steps) != sorted(set(self.test_steps)) or not self.test_steps:
            raise SettingError(f"test_steps={self.test_steps} must rise; give the numbers of steps in order, each once")


ATTENTION_REMEDY = (
    "call it inside `with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):`, whose derivatives go on"
)


def is_attention(error: Exception) -> bool:
    """Whether it is of torch's attention, whose fast kernels can be differentiated once alone."""
    return "derivative for aten::_scaled_dot_product" in str(error)


def first_line(error: Exception) -> str:
    """Of an error's text, and at most 200 letters of it."""
    return str(error).strip().partition("\n")[0][:200]


LOOP_FROM_PIXELS = 100_000
"""Of a task's images together, from which tasks are looped over on a CPU, for the memory that vmap takes. Below, vmap
is faster, to second order (conv4-64 on 28x28, 8 tasks, CPU-ms a task by vmap and looped: strided 10 images 15 and 35,
50 images 53 and 74, 100 images 69 and 88; with max-pools 10 images 35 and 60, 80 images 116 and 130)."""


def choose_backend(
    net: Net,
    wanted: BackendChoice,
    device: torch.device,
    *,
    examples: int,
    first_order: bool,
    support_statistics: bool = False,
) -> Backend:
    """What `auto` means for a net, a device and the examples (support and query) of a task.

    First order, convolutions of all tasks are those of one net of grouped channels, with torch's batch-norm kernel: 1.2
    to 2 times faster than vmap. Its second derivative, right as it is, takes longer than vmap's.

    Raises SettingError for `batched` with a net that does not broadcast over stacked params, or whose queries take
    statistics of the support set, which that kernel does not differentiate.
    """
    body = body_of(net)
    dense = isinstance(body, BesideInput) or (isinstance(body, MLP) and body.norm == "none")
    grouped = isinstance(body, Conv4) and body.norm != "layer" and not (body.norm == "batch" and support_statistics)
    if wanted == "batched" and not (dense or grouped):
        norm = f" with norm={body.norm!r}" if isinstance(body, MLP | Conv4) else ""
        of_support = ", query_statistics='support'" if support_statistics else ""
        raise SettingError(
            "backend='batched' is for dense nets without normalisation and for convolutions with at most batch "
            f"normalisation of each set by itself, and this is {type(body).__name__}{norm}{of_support}; "
            "use auto, vmap or loop"
        )
    if wanted != "auto":
        return wanted
    on_cpu = device.type == "cpu"
    if dense or (grouped and first_order and on_cpu):
        return "batched"
    pixels = examples * net.input_shape[-2] * net.input_shape[-1] if len(net.input_shape) == 3 else 0
    return "loop" if on_cpu and pixels >= LOOP_FROM_PIXELS else "vmap"


def net_with_head(spec: DataSpec, config: GradientConfig) -> WithHead:
    """The configured net, with a last layer for the data's outputs."""
    return WithHead(make_net(spec.input_shape, config.net), spec.outputs, from_zero=config.head_from_zero)


@dataclass(frozen=True, kw_only=True)
class TaskLoss:
    """How a net's outputs for a task are judged: cross-entropy over the task's ways, or the squared error."""

    net: Net
    regression: bool

    def ways(self, support: Batch) -> int | None:
        return None if self.regression else count_ways(support["y"])

    def inner(self, ways: int | None) -> Callable[[Params, dict[str, Tensor]], Tensor]:
        """Loss of one task's params on its {"x", "y"}; losses of stacked ones where the net takes those."""
        return lambda params, batch: self.losses(self.net.apply(params, batch["x"])[0], batch["y"], ways)

    def losses(self, outputs: Tensor, y: Tensor, ways: int | None) -> Tensor:
        """(..., N, outputs), (..., N) or (..., N, O) -> (...)."""
        if ways is None:
            return squared_error(outputs, y)
        return cross_entropy(outputs[..., :ways], y)

    def score(self, outputs: Tensor, y: Tensor, ways: int | None) -> Metrics:
        """What the log shows."""
        if ways is None:
            return {"mse/post": float(squared_error(outputs, y).mean())}
        return {"accuracy/post": float(accuracy(outputs[..., :ways], y).mean())}


@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """An `Adaptation` by gradient steps of all weights on the support set: that of MAML and Meta-SGD."""

    loss: TaskLoss
    step_sizes: StepSizes
    weight_names: tuple[str, ...]
    backend: BackendChoice
    first_order: bool

    def weights(self, theta: Params) -> Params:
        return {name: theta[name] for name in self.weight_names}

    def inner_loop(self, support: Batch, backend: Backend, *, first_order: bool | None = None) -> InnerLoop:
        """For tasks of as many classes as `support` has."""
        return InnerLoop(
            loss=self.loss.inner(self.loss.ways(support)),
            step_sizes=self.step_sizes,
            weight_names=self.weight_names,
            first_order=self.first_order if first_order is None else first_order,
            backend=backend,
        )

    def curve(self, theta: Params, phis: Params, support: Batch, steps: Sequence[int]) -> list[Params]:
        """Not to be differentiated, so that the backend is the one of first-order steps."""
        backend = choose_backend(
            self.loss.net, self.backend, support["x"].device, examples=support["x"].shape[1], first_order=True
        )
        inner_loop = self.inner_loop(support, backend, first_order=True)
        curve, done = [], 0
        for step in steps:
            phis = inner_loop.path(theta, [support] * (step - done), start=phis, first=done)[-1]
            done = step
            curve.append(phis)
        return curve

    def on(self, used: UsedInputs) -> GradientDescent:
        return replace(self, loss=replace(self.loss, net=used.net))


@dataclass(frozen=True)
class MetaGradient:
    """Of the mean query loss of the adapted tasks (Finn et al. 2017, algorithm 2, line 10)."""

    descent: GradientDescent
    config: GradientConfig

    def __call__(self, theta: Params, support: Batch, query: Batch) -> tuple[Params, Metrics]:
        """With that loss and the scores of the query sets; support (B, N, ...), query (B, Q, ...)."""
        net = self.descent.loss.net
        if not skips_zeros(net):
            return self._gradient(theta, support, query)
        used = used_inputs(net, torch.cat([support["x"], query["x"]], 1))
        part = MetaGradient(self.descent.on(used), self.config)
        grads, metrics = part._gradient(used.take(theta), used.of(support), used.of(query))
        return used.put(grads, {name: torch.zeros_like(p) for name, p in theta.items()}), metrics

    def _gradient(self, theta: Params, support: Batch, query: Batch) -> tuple[Params, Metrics]:
        backend = choose_backend(
            self.descent.loss.net,
            self.descent.backend,
            support["x"].device,
            examples=support["x"].shape[1] + query["x"].shape[1],
            first_order=self.descent.first_order,
            support_statistics=self.config.query_statistics == "support",
        )
        try:
            return self._gradient_by(theta, support, query, backend)
        except RuntimeError as error:
            if is_attention(error):
                raise UserError(
                    f"the net's attention has no second derivative here ({first_line(error)}); {ATTENTION_REMEDY}, or "
                    "set first_order=True"
                ) from error
            if backend == "vmap" and self._loop_runs(theta, support, query):
                raise UserError(
                    f"vmap cannot run the net ({first_line(error)}), but a loop over tasks can; set backend='loop' in "
                    f"{type(self.config).__name__}"
                ) from error
            raise

    def _loop_runs(self, theta: Params, support: Batch, query: Batch) -> bool:
        try:
            self._gradient_by(theta, first_task(support), first_task(query), "loop")
        except RuntimeError:
            return False
        return True

    def _gradient_by(self, theta: Params, support: Batch, query: Batch, backend: Backend) -> tuple[Params, Metrics]:
        if backend != "loop":
            return self._gradient_of(theta, support, query, backend)
        # one task after another: a single task's graph stays in the cache, and in memory
        total: Params = {}
        scores: dict[str, float] = {}
        share = 1 / len(support["x"])
        for i in range(len(support["x"])):
            own_support, own_query = ({name: x[i : i + 1] for name, x in e.items()} for e in (support, query))
            grads, metrics = self._gradient_of(theta, own_support, own_query, backend)
            total = {name: total[name] + share * g if total else share * g for name, g in grads.items()}
            scores = {name: scores.get(name, 0.0) + share * value for name, value in metrics.items()}
        return total, scores

    def _gradient_of(self, theta: Params, support: Batch, query: Batch, backend: Backend) -> tuple[Params, Metrics]:
        leaves, loss_of = P.trainable(theta), self.descent.loss
        phis = self.descent.inner_loop(support, backend).path(leaves, [support] * self.config.inner_steps)[-1]
        outputs = self._query_outputs(phis, support["x"], query["x"], backend)
        ways = loss_of.ways(support)
        loss = loss_of.losses(outputs, query["y"], ways).mean()
        metrics = {"meta_loss": float(loss.detach())} | loss_of.score(outputs.detach(), query["y"], ways)
        return P.gradient(loss, leaves), metrics

    def _query_outputs(self, phis: Params, support_x: Tensor, query_x: Tensor, backend: Backend) -> Tensor:
        """(B, Q, outputs) of stacked phis."""
        net = self.descent.loss.net
        from_support = self.config.query_statistics == "support" and bool(net.statistics_shapes())

        def one(phi: Params, support_x: Tensor, query_x: Tensor) -> Tensor:
            statistics = net.apply(phi, support_x)[1] if from_support else None
            return net.apply(phi, query_x, statistics=statistics)[0]

        if backend == "batched":
            return one(phis, support_x, query_x)
        if backend == "vmap":
            return torch.func.vmap(one)(phis, support_x, query_x)
        return torch.stack([one(*task) for task in zip(P.unstack(phis), support_x, query_x, strict=True)])


def first_task(batch: Batch) -> Batch:
    """A batch of the first task alone."""
    return {name: x[:1] for name, x in batch.items()}


GradientOf = Callable[[Params, Batch, Batch], tuple[Params, Metrics]]
"""(theta, support, query) -> the meta-gradient, and metrics with the meta_loss."""


class QueryAdam:
    """An OuterStep: Adam on the meta-gradient."""

    def __init__(self, gradient: GradientOf, config: GradientConfig) -> None:
        self.gradient = gradient
        self._adam = ScheduledAdam(config)

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        grads, metrics = self.gradient(theta, batch.supports[0], batch.query)
        theta, step = self._adam.apply(grads, theta, loss=metrics["meta_loss"])
        return theta, metrics | step

    def state_dict(self) -> dict[str, Any]:
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._adam.load_state_dict(state)
