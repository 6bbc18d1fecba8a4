"""The convolutional net of few-shot learning on images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.layers import init_norm, normalise, statistics_shapes, uniform
from metarl.fewshot.nets.net import Statistics
from metarl.fewshot.nets.norm import Norm, conv_moments, fold
from metarl.types import Params
from metarl.validate import Checked

FEW_CHANNELS = 3
"""Of images, up to which the first layer's statistics come from patches (`norm.conv_moments`)."""


@dataclass(frozen=True)
class Conv4(Checked):
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
        super().__post_init__()
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
            params[f"conv{layer}.weight"] = uniform((self.filters, channels, 3, 3), bound, generator)
            if self.norm != "batch":  # which would take it away again
                params[f"conv{layer}.bias"] = torch.zeros(self.filters)
            params |= init_norm(self.norm, layer, self.filters)
            channels = self.filters
        return params

    def statistics_shapes(self) -> dict[str, Shape]:
        return statistics_shapes(self.norm, (self.filters,) * self.layers)

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
                x = normalise(self.norm, params, x, layer, groups, statistics, used, fused=fused)
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
