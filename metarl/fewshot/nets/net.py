"""What a net is here: a pure function of (params, x, statistics)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.examples import Shape
from metarl.types import Params

Statistics = Params
"""Of every batch-norm layer: norm0.mean and norm0.var, (C,) or (G, C), norm1.mean, ...; empty without batch norm."""


class Net(Protocol):
    """Inputs -> features or class scores. `metarl.fewshot.nets.module_net` makes one of a torch.nn.Module."""

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


def initial_statistics(net: Net) -> Statistics:
    """Mean 0 and variance 1: moving averages before any data."""
    return {
        name: torch.ones(shape) if name.endswith(".var") else torch.zeros(shape)
        for name, shape in net.statistics_shapes().items()
    }


def check_outputs(net: Net, outputs: int) -> None:
    """Raises UserError for a net of your own with fewer outputs than a task has classes."""
    if net.output_dim < outputs:
        raise UserError(
            f"the net has {net.output_dim} outputs, but tasks have up to {outputs} classes, each of which needs one; "
            "give the net more outputs, or lower the ways"
        )
