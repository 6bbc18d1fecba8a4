"""Layers of linear, maybe LayerNorm (Ba et al. 2016), and ReLU: one net, or an ensemble in one batched product."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from metarl.types import Params


def init_norm_mlp(
    sizes: tuple[int, ...],
    generator: torch.Generator,
    *,
    ensemble: int | None = None,
    layer_norm: bool = True,
    last_std: float = 0.0,
) -> Params:
    """w0 (in, out), b0, gain0, shift0, ..., and of the last layer w and b alone; with `ensemble` all have a leading E.
    Without `layer_norm` there are no gains and shifts.

    Weights are uniform within 1 / sqrt(in) (LeCun et al. 1998), those of the last layer N(0, last_std^2).
    """
    lead = () if ensemble is None else (ensemble,)
    params: Params = {}
    *hidden, (last_in, last_out) = itertools.pairwise(sizes)
    for layer, (n_in, n_out) in enumerate(hidden):
        bound = 1 / math.sqrt(n_in)
        params[f"w{layer}"] = (torch.rand(*lead, n_in, n_out, generator=generator) * 2 - 1) * bound
        params[f"b{layer}"] = torch.zeros(*lead, n_out)
        if layer_norm:
            params[f"gain{layer}"] = torch.ones(*lead, n_out)
            params[f"shift{layer}"] = torch.zeros(*lead, n_out)
    last = len(hidden)
    params[f"w{last}"] = torch.randn(*lead, last_in, last_out, generator=generator) * last_std
    params[f"b{last}"] = torch.zeros(*lead, last_out)
    return params


def norm_mlp(params: Params, x: Tensor, num_hidden: int) -> Tensor:
    """x (n, in) -> (n, out); of an ensemble (E, n, out), with x (n, in) for all or (E, n, in)."""
    for layer in range(num_hidden):
        x = _linear(params, x, layer)
        if f"gain{layer}" in params:
            x = _layer_norm(x, params[f"gain{layer}"], params[f"shift{layer}"])
        x = F.relu(x)
    return _linear(params, x, num_hidden)


def own_head(outputs: Tensor, obs: Tensor, heads: int) -> Tensor:
    """Of a last layer for each of so many tasks, that of each row's task: (..., n, heads K) -> (..., n, K).

    The last `heads` numbers of obs (n, O) are the task's one-hot id. With heads <= 1 all tasks share one.
    """
    if heads <= 1:
        return outputs
    each = outputs.unflatten(-1, (heads, -1))
    index = obs[:, -heads:].argmax(-1).view(-1, 1, 1).expand(*each.shape[:-2], 1, each.shape[-1])
    return each.gather(-2, index).squeeze(-2)


def _layer_norm(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    if gain.dim() == 1:
        return F.layer_norm(x, gain.shape, gain, shift)
    return torch.addcmul(shift.unsqueeze(1), F.layer_norm(x, gain.shape[1:]), gain.unsqueeze(1))


def _linear(params: Params, x: Tensor, layer: int) -> Tensor:
    weight, bias = params[f"w{layer}"], params[f"b{layer}"]
    if weight.dim() == 2:
        return torch.addmm(bias, x, weight)
    if x.dim() == 2:
        x = x.expand(len(weight), *x.shape)
    return torch.baddbmm(bias.unsqueeze(1), x, weight)
