"""Nets as pure functions of (params, x, statistics): images, vectors, and a linear head on either."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.errors import SettingError, UserError
from metarl.fewshot.beside_input import BesideInput
from metarl.fewshot.examples import Shape
from metarl.fewshot.norm import Norm, batch_norm, conv_moments, fold, fused_batch_norm, layer_norm
from metarl.policies import linear
from metarl.types import Params
from metarl.validate import check_choices, check_range

Statistics = Params
"""Of every batch-norm layer: norm0.mean and norm0.var, (C,) or (G, C), norm1.mean, ...; empty without batch norm."""


class Net(Protocol):
    """Inputs -> features or class scores. `metarl.fewshot.module_net` makes one of a torch.nn.Module."""

    @property
    def input_shape(self) -> Shape: ...

    @property
    def output_dim(self) -> int: ...

    def init(self, generator: torch.Generator) -> Params: ...

    def statistics_shapes(self) -> dict[str, Shape]:
        """Name and shape of each entry of `Statistics`; empty where examples do not influence each other."""
        ...

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        """x (G*N, ...) -> outputs (G*N, output_dim), and the statistics used.

        Batch normalisation takes its statistics over each group of N examples, or from `statistics`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What to build for inputs of a given shape: convolutions for images, an MLP or `BesideInput` for vectors."""

    filters: int = 64
    """Channels of each convolution."""
    layers: int = 4
    """Convolutions; two are enough for images of 8 pixels."""
    pool: Literal["stride", "max"] = "stride"
    """Halve the image by strided convolutions (MAML's Omniglot net) or by max-pooling (Matching and Prototypical
    networks, mini-ImageNet), which costs four times as much."""
    flatten: bool = False
    """Take all of the last strided map as features and not its mean over space; after max-pools it is all anyway."""
    hidden: tuple[int, ...] = (64, 64)
    """Layers of the MLP, the last one being the features."""
    norm: Norm = "batch"
    keep_input: bool = False
    """Vectors alone: in place of the MLP the input itself beside a learned projection of it (`BesideInput`)."""
    projection: int = 512
    """Dimensions of that projection."""
    scale: float = 1.6
    """Of those features at first: a softmax over squared distances is then one over 10 times the cosine."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of an image net's layers in meta-training by a metric method: bfloat16 takes half the time on a CPU with
    instructions for it (AMX). Parameters, losses and scores of held-out tasks are float32 either way."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_range(self, "filters", low=1)
        check_range(self, "layers", low=1)
        check_range(self, "hidden", low=1)
        if not self.hidden:
            raise SettingError("hidden=() leaves an MLP no layer; give the size of one at least, such as 64")
        check_range(self, "projection", low=1)
        check_range(self, "scale", low=0, low_open=True)


def make_net(input_shape: Shape, config: NetConfig, *, fused: bool = False) -> Net:
    """The body for inputs of this shape.

    Raises UserError for a shape that is neither (C, H, W) nor (D,), for images with `keep_input`, and for bfloat16
    where there are no images or the net is differentiated twice (not `fused`).
    """
    if config.precision != "float32" and not (fused and len(input_shape) == 3):
        raise UserError(
            f"precision={config.precision!r} is for metric methods and the transfer baseline on images; use float32"
        )
    if config.keep_input and len(input_shape) != 1:
        raise UserError(
            f"keep_input=True is for vectors (D,), but inputs have the shape {input_shape}; leave it out for images"
        )
    if len(input_shape) == 3:
        return Conv4(
            input_shape,
            filters=config.filters,
            layers=config.layers,
            pool=config.pool,
            flatten=config.flatten,
            norm=config.norm,
            fused=fused,
            precision=config.precision,
        )
    if len(input_shape) == 1 and config.keep_input:
        return BesideInput(input_shape[0], config.projection, config.scale)
    if len(input_shape) == 1:
        return MLP(input_shape[0], config.hidden, norm=config.norm, fused=fused)
    raise UserError(
        f"inputs of shape {input_shape} fit no net here; give images (C, H, W) or vectors (D,), or a net of your own"
    )


FEW_CHANNELS = 3
"""Of images, up to which the first layer's statistics are had from patches (`norm.conv_moments`)."""


@dataclass(frozen=True)
class Conv4:
    """3x3 convolutions with normalisation and ReLU, each halving the image (Vinyals et al. 2016, section 4.1).

    With `pool="stride"` the features are the mean over space, as in MAML's Omniglot net (Finn et al. 2017), unless
    `flatten` is on; with max-pools they are all of the last map.
    """

    input_shape: Shape
    filters: int = 64
    pool: Literal["stride", "max"] = "stride"
    flatten: bool = False
    norm: Norm = "batch"
    fused: bool = False
    """Channels last and torch's own batch-norm kernel: three times faster on a CPU, for first derivatives only."""
    layers: int = field(default=4, kw_only=True)
    precision: Literal["float32", "bfloat16"] = field(default="float32", kw_only=True)
    """Of the layers (Micikevicius et al. 2018); what comes in and goes out, parameters and statistics stay float32."""

    def __post_init__(self) -> None:
        check_choices(self)
        side = min(self.input_shape[1:])
        if self.pool == "max" and side < 2**self.layers:
            raise UserError(
                f"images of {side} pixels vanish in {self.layers} max-pools, which need {2**self.layers}; "
                "use pool='stride' or fewer layers"
            )

    @property
    def map_shape(self) -> Shape:
        """(C, h, w) of the last layer."""
        sides = list(self.input_shape[1:])
        for _ in range(self.layers):
            sides = [(n + 1) // 2 if self.pool == "stride" else n // 2 for n in sides]
        return (self.filters, *sides)

    @property
    def output_dim(self) -> int:
        return self.filters if self._averages else math.prod(self.map_shape)

    @property
    def _averages(self) -> bool:
        return self.pool == "stride" and not self.flatten

    def init(self, generator: torch.Generator) -> Params:
        params: Params = {}
        channels = self.input_shape[0]
        for layer in range(self.layers):
            bound = math.sqrt(6.0 / (9 * (channels + self.filters)))  # Glorot and Bengio 2010
            params[f"conv{layer}.weight"] = _uniform((self.filters, channels, 3, 3), bound, generator)
            if self.norm != "batch":  # which would take it away again
                params[f"conv{layer}.bias"] = torch.zeros(self.filters)
            params |= _init_norm(self.norm, layer, self.filters)
            channels = self.filters
        return params

    def statistics_shapes(self) -> dict[str, Shape]:
        return _statistics_shapes(self.norm, (self.filters,) * self.layers)

    def maps(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        """The last feature maps (G*N, C, h, w); with stacked params (B, ...) those of x (B, N, ...), (B, N, C, h, w).

        Statistics of stacked params are (B, 1, C) and not differentiable.
        """
        if x.dim() == 4:
            return self._layers(params, x, groups=groups, statistics=statistics)
        # tasks side by side as channels: a convolution's groups have filters of their own, a channel its own statistics
        tasks, own = len(x), ("conv", "norm")
        beside = {name: p.flatten(0, 1) for name, p in params.items() if name.startswith(own)}
        given = None if statistics is None else {name: s.reshape(-1) for name, s in statistics.items()}
        maps, used = self._layers(beside, x.transpose(0, 1).flatten(1, 2), statistics=given, tasks=tasks)
        of_tasks = {name: s.view(tasks, 1, -1) for name, s in used.items()}
        return maps.unflatten(1, (tasks, -1)).transpose(0, 1), of_tasks

    def _layers(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None, tasks: int = 0
    ) -> tuple[Tensor, Statistics]:
        """Of one net, or of `tasks` nets whose channels lie beside each other."""
        used: Statistics = {}
        fused = self.fused or tasks > 0
        stride = 2 if self.pool == "stride" else 1
        dtype, out = torch.bfloat16 if self.precision == "bfloat16" else x.dtype, x.dtype
        for layer in range(self.layers):
            weight, bias = params[f"conv{layer}.weight"], params.get(f"conv{layer}.bias")
            is_folded = self._folds(layer, groups, statistics)
            if is_folded:
                mean, var = f"norm{layer}.mean", f"norm{layer}.var"
                if statistics is None:
                    moments = conv_moments(x, weight, stride=stride, groups=tasks or 1)
                else:
                    moments = statistics[mean], statistics[var]
                weight, bias = fold(weight, params[f"norm{layer}.gain"], params[f"norm{layer}.bias"], moments)
                used[mean], used[var] = ((m.detach() if fused else m).reshape(1, -1) for m in moments)
            weight = weight.to(dtype)
            if fused:
                weight = weight.to(memory_format=torch.channels_last)  # the output follows it
            bias = None if bias is None else bias.to(dtype)
            x = F.conv2d(x.to(dtype), weight, bias, stride=stride, padding=1, groups=tasks or 1)
            if not is_folded:
                x = _normalise(self.norm, params, x, layer, groups, statistics, used, fused=fused)
            if self.pool == "max":
                x = F.max_pool2d(x, 2)  # ReLU is monotone: after the pool it is the same, on a quarter of the numbers
            x = F.relu(x)
        return x.to(out), used

    def _folds(self, layer: int, groups: int, statistics: Statistics | None) -> bool:
        """Whether a layer's batch normalisation is part of its convolution: its statistics are known beforehand."""
        is_known = statistics is not None or (layer == 0 and self.input_shape[0] <= FEW_CHANNELS)
        return self.norm == "batch" and groups == 1 and is_known

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        maps, used = self.maps(params, x, groups=groups, statistics=statistics)
        return maps.mean((-2, -1)) if self._averages else maps.flatten(-3), used


@dataclass(frozen=True)
class MLP:
    """Dense layers with ReLU after each.

    Without normalisation it broadcasts: stacked params (B, ...) serve x (B, N, D), one product for all tasks.
    """

    input_dim: int
    hidden: tuple[int, ...]
    norm: Norm = "none"
    fused: bool = False

    def __post_init__(self) -> None:
        check_choices(self)

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
            params[f"w{layer}"] = _uniform((n_in, n_out), math.sqrt(6.0 / (n_in + n_out)), generator)
            params[f"b{layer}"] = torch.zeros(n_out)
            params |= _init_norm(self.norm, layer, n_out)
            n_in = n_out
        return params

    def statistics_shapes(self) -> dict[str, Shape]:
        return _statistics_shapes(self.norm, self.hidden)

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        used: Statistics = {}
        for layer in range(len(self.hidden)):
            x = linear(x, params[f"w{layer}"], params[f"b{layer}"])
            x = F.relu(_normalise(self.norm, params, x, layer, groups, statistics, used, fused=self.fused))
        return x, used


@dataclass(frozen=True)
class WithHead:
    """A body with one linear layer on top: class scores, or the outputs of a regression."""

    body: Net
    output_dim: int
    from_zero: bool = False
    """Whether the layer starts from 0. A gradient step of size a on N examples makes it the class means of features f,
    less their common mean: scores are a / N times the sum of f(x) . f(x_i) over a class's examples."""

    @property
    def input_shape(self) -> Shape:
        return self.body.input_shape

    def init(self, generator: torch.Generator) -> Params:
        bound = 0.0 if self.from_zero else math.sqrt(6.0 / (self.body.output_dim + self.output_dim))
        return self.body.init(generator) | {
            "head.weight": _uniform((self.body.output_dim, self.output_dim), bound, generator),
            "head.bias": torch.zeros(self.output_dim),
        }

    def statistics_shapes(self) -> dict[str, Shape]:
        return self.body.statistics_shapes()

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        features, used = self.body.apply(params, x, groups=groups, statistics=statistics)
        return linear(features, params["head.weight"], params["head.bias"]), used


def body_of(net: Net) -> Net:
    """The net without the head that it may have."""
    return net.body if isinstance(net, WithHead) else net


def for_scores(net: Net) -> Net:
    """The same net where nothing is differentiated: at full precision, by the faster kernels."""
    if isinstance(net, WithHead):
        return replace(net, body=for_scores(net.body))
    if isinstance(net, Conv4):
        return replace(net, precision="float32", fused=True)
    return replace(net, fused=True) if isinstance(net, MLP) else net


HEAD = ("head.weight", "head.bias")


def check_outputs(net: Net, outputs: int) -> None:
    """Raises UserError for a net of one's own with fewer outputs than a task has classes."""
    if net.output_dim < outputs:
        raise UserError(
            f"the net has {net.output_dim} outputs, but tasks have up to {outputs} classes, each of which needs one; "
            "give the net more outputs, or lower the ways"
        )


def initial_statistics(net: Net) -> Statistics:
    """Mean 0 and variance 1: moving averages before any data."""
    return {
        name: torch.ones(shape) if name.endswith(".var") else torch.zeros(shape)
        for name, shape in net.statistics_shapes().items()
    }


def _uniform(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def _init_norm(norm: Norm, layer: int, channels: int) -> Params:
    if norm == "none":
        return {}
    return {f"norm{layer}.gain": torch.ones(channels), f"norm{layer}.bias": torch.zeros(channels)}


def _statistics_shapes(norm: Norm, channels: tuple[int, ...]) -> dict[str, Shape]:
    if norm != "batch":
        return {}
    return {f"norm{layer}.{name}": (n,) for layer, n in enumerate(channels) for name in ("mean", "var")}


def _normalise(
    norm: Norm,
    params: Params,
    x: Tensor,
    layer: int,
    groups: int,
    statistics: Statistics | None,
    used: Statistics,
    *,
    fused: bool,
) -> Tensor:
    """One layer's normalisation; writes its statistics into `used`."""
    if norm == "none":
        return x
    gain, bias = params[f"norm{layer}.gain"], params[f"norm{layer}.bias"]
    if norm == "layer":
        return layer_norm(x, gain, bias)
    mean, var = f"norm{layer}.mean", f"norm{layer}.var"
    if fused and groups == 1 and statistics is None:
        x, (used[mean], used[var]) = fused_batch_norm(x, gain, bias)
    else:
        given = None if statistics is None else (statistics[mean], statistics[var])
        x, (used[mean], used[var]) = batch_norm(x, gain, bias, groups=groups, statistics=given)
    return x
