"""What the layers of several nets have in common: how they start, and how they normalise."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.net import Statistics
from metarl.fewshot.nets.norm import Norm, batch_norm, fused_batch_norm, layer_norm
from metarl.types import Params


def uniform(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    """In [-bound, bound)."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def init_norm(norm: Norm, layer: int, channels: int) -> Params:
    """A layer's gain and bias at first; none without normalisation."""
    if norm == "none":
        return {}
    return {f"norm{layer}.gain": torch.ones(channels), f"norm{layer}.bias": torch.zeros(channels)}


def statistics_shapes(norm: Norm, channels: tuple[int, ...]) -> dict[str, Shape]:
    """Shapes of the means and variances that batch normalisation keeps, by name."""
    if norm != "batch":
        return {}
    return {f"norm{layer}.{name}": (n,) for layer, n in enumerate(channels) for name in ("mean", "var")}


def normalise(
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
