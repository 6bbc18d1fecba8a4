"""A net on the inputs that its examples have: of one that is 0 in all of them no gradient step learns anything.

Texts are n-grams hashed to thousands of places (`data.ngrams`), of which twenty commands use a thousand. A task's
fast weights differ from theta in the rows of those alone, so the others need no steps. Of 16,384 places, MAML adapts
to twenty commands three times as fast on one core, and Reptile, whose Adam moves more memory, ten times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.with_head import WithHead, body_of
from metarl.learn.step_sizes import PREFIX
from metarl.types import Params


@dataclass(frozen=True)
class UsedInputs:
    """Some inputs of a net, as a net of its own."""

    net: Net
    columns: Tensor
    """(C,) the inputs' numbers, rising."""
    rows: dict[str, tuple[int, Tensor]]
    """Of each parameter that has entries for single inputs: the dimension, from the last, and those to take."""

    def of(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Examples {"x": (..., D), "y"} with those inputs alone."""
        return batch | {"x": batch["x"][..., self.columns]}

    def take(self, params: Params) -> Params:
        """Their part of parameters or step sizes, of one task or stacked (B, ...)."""
        return {
            name: p.index_select(*rows) if (rows := self.rows.get(name.removeprefix(PREFIX))) else p
            for name, p in params.items()
        }

    def put(self, part: Params, params: Params) -> Params:
        """The parameters with that part in its place."""
        return {
            name: p.index_copy(*rows, part[name]) if (rows := self.rows.get(name.removeprefix(PREFIX))) else part[name]
            for name, p in params.items()
        }


def skips_zeros(net: Net) -> bool:
    """Whether an input of 0 is to the net as one that is not there."""
    return isinstance(body_of(net), BesideInput)


def used_inputs(net: Net, x: Tensor) -> UsedInputs:
    """The inputs that are not 0 in all examples x (..., D), of a net that skips zeros."""
    body = body_of(net)
    assert isinstance(body, BesideInput)
    columns = x.flatten(0, -2).any(0).nonzero().squeeze(-1)
    rows = {"gain": (-1, columns), "projection": (-2, columns)}
    small: Net = replace(body, input_dim=len(columns))
    if isinstance(net, WithHead):
        projected = torch.arange(body.input_dim, body.output_dim, device=x.device)
        rows["head.weight"] = (-2, torch.cat([columns, projected]))
        small = replace(net, body=small)
    return UsedInputs(small, columns, rows)
