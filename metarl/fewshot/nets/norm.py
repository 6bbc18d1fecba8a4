"""Batch and layer normalisation from primitives, whose second derivatives are right under vmap.

torch's own are not: under vmap the gradient of their gain is rebuilt from the saved mean and standard deviation as if
those were constants, so a meta-gradient taken outside vmap is wrong without a word (measured with torch 2.13: a MAML
gradient off by 73 % after three inner steps; metarl.fewshot.check_metagrad shows it).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "layer", "none"]

EPS = 1e-5


def wrong_under_vmap(layer: nn.Module) -> bool:
    """Whether the layer is one of torch's whose meta-gradient is wrong there, as the head of this file says.

    Group norm is right (measured to 4e-16), and so are layer and instance norm without a gain.
    """
    if isinstance(layer, nn.LayerNorm):
        return layer.elementwise_affine
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm):
        return layer.affine
    return isinstance(layer, nn.modules.batchnorm._BatchNorm)


def batch_norm(
    x: Tensor, gain: Tensor, bias: Tensor, *, groups: int = 1, statistics: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """gain * (x - mean) / sqrt(var + eps) + bias a channel (Ioffe and Szegedy 2015), and the mean and var used.

    x (G*N, C, ...), gain and bias (C,). Mean and var (G, C) are taken over the N examples of each group and over
    space; with `statistics`, (C,) or (G, C) each, those are used instead.
    """
    grouped = x.unflatten(0, (groups, -1))
    if statistics is None:
        mean, var = moments(grouped, (1, *range(3, grouped.dim())))
    else:
        mean, var = (s.expand(groups, -1) for s in statistics)
    scale = gain * torch.rsqrt(var + EPS)
    # one multiplication and one addition of the large tensor: half the memory traffic of the formula as it stands
    shift = bias - mean * scale
    shape = (groups, 1, x.shape[1], *(1,) * (x.dim() - 2))
    out = grouped * scale.view(shape) + shift.view(shape)
    return out.flatten(0, 1), (mean, var)


def moments(x: Tensor, dims: tuple[int, ...], *, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance (of the population) over `dims`, differentiable as often as one likes.

    torch.var_mean adds up one number after another: six times slower on a CPU than this (measured with torch 2.13).
    """
    # about a point near the mean nothing cancels, and neither moment depends on which point it is
    near = x.detach().mean(dims, keepdim=True)
    off = x - near
    # sums divided, not means: the derivative of a mean divides once for every number that it is of
    count = math.prod(x.shape[dim] for dim in dims)
    mean_off = off.sum(dims, keepdim=True) / count
    var = off.square().sum(dims, keepdim=True) / count - mean_off.square()
    mean = near + mean_off
    return (mean, var) if keepdim else (mean.squeeze(dims), var.squeeze(dims))


def fused_batch_norm(x: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`batch_norm` of one group by torch's kernel, two to three times faster; for first derivatives only."""
    out, mean, inverse_std = torch.native_batch_norm(x, gain, bias, None, None, True, 0.0, EPS)
    var = (inverse_std.detach().square().reciprocal() - EPS).clamp(min=0)
    return out, (mean.detach().unsqueeze(0), var.unsqueeze(0))


def fold(weight: Tensor, gain: Tensor, bias: Tensor, statistics: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Filters (C, ...) and offsets (C,) of the convolution that is `batch_norm` after the one of `weight`.

    `statistics` are the mean and variance of that one's outputs, (C,) or (1, C).
    """
    mean, var = (s.reshape(-1) for s in statistics)
    scale = gain * torch.rsqrt(var + EPS)
    return weight * scale.view(-1, *(1,) * (weight.dim() - 1)), bias - mean * scale


def conv_moments(x: Tensor, weight: Tensor, *, stride: int, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and variance (1, C) of each channel of a 3x3 convolution, padded by 1, without the convolution.

    A channel is a linear function w of 3x3 patches, so its mean is w . m and its variance w S w, with the mean m and
    the covariance S of all patches of x (N, groups * I, H, W). With few input channels I that is next to nothing, where
    a pass over the outputs, and one for each derivative, is what normalising costs.
    """
    near = x.mean()  # about a point near the mean little cancels
    patches = F.unfold(F.pad(x, (1, 1, 1, 1)) - near, 3, stride=stride).unflatten(1, (groups, -1))
    count = len(x) * patches.shape[-1]  # patches (N, groups, 9 I, places)
    off = patches.sum((0, 3)).unsqueeze(-1) / count  # (groups, 9 I, 1)
    covariance = (patches @ patches.transpose(2, 3)).sum(0) / count - off @ off.transpose(1, 2)
    filters = weight.unflatten(0, (groups, -1)).flatten(2)  # (groups, C / groups, 9 I)
    mean = filters @ (off + near)
    var = ((filters @ covariance) * filters).sum(-1).clamp(min=0)  # rounding may leave less
    return mean.reshape(1, -1), var.reshape(1, -1)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Over all but the first dimension of x (N, C, ...), then gain and bias a channel, (C,) (Ba et al. 2016)."""
    dims = tuple(range(1, x.dim()))
    mean, var = moments(x, dims, keepdim=True)
    shape = (-1, *(1,) * (x.dim() - 2))
    return (x - mean) * torch.rsqrt(var + EPS) * gain.view(shape) + bias.view(shape)
