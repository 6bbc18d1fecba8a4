"""Which net for which inputs: convolutions for images, dense layers or the input itself for vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from metarl.errors import SettingError, UserError
from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.conv4 import Conv4
from metarl.fewshot.nets.mlp import MLP
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.norm import Norm
from metarl.fewshot.nets.with_head import WithHead
from metarl.validate import Checked, Count, Positive


@dataclass(frozen=True, kw_only=True)
class NetConfig(Checked):
    """What to build for inputs of a given shape: convolutions for images, an MLP or `BesideInput` for vectors."""

    filters: Count = 64
    """Channels of each convolution."""
    layers: Count = 4
    """Convolutions; two are enough for images of 8 pixels."""
    pool: Literal["stride", "max"] = "stride"
    """Halve the image by strided convolutions (MAML's Omniglot net) or by max-pooling (Matching and Prototypical
    networks, mini-ImageNet), which costs four times as much."""
    flatten: bool = False
    """Take all of the last strided map as features and not its mean over space; after max-pools it is all anyway."""
    hidden: tuple[Count, ...] = (64, 64)
    """Layers of the MLP, the last one being the features."""
    norm: Norm = "batch"
    keep_input: bool = False
    """Vectors alone: in place of the MLP the input itself beside a learned projection of it (`BesideInput`)."""
    projection: Count = 512
    """Dimensions of that projection."""
    scale: Positive = 1.6
    """Of those features at first: a softmax over squared distances is then one over 10 times the cosine."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of an image net's layers in meta-training by a metric method: bfloat16 takes half the time on a CPU with
    instructions for it (AMX). Parameters, losses and scores of held-out tasks are float32 either way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden:
            raise SettingError("hidden=() leaves an MLP no layer; give the size of one at least, such as 64")


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


def for_scores(net: Net) -> Net:
    """The same net where nothing is differentiated: at full precision, by the faster kernels."""
    if isinstance(net, WithHead):
        return replace(net, body=for_scores(net.body))
    if isinstance(net, Conv4):
        return replace(net, precision="float32", fused=True)
    return replace(net, fused=True) if isinstance(net, MLP) else net
