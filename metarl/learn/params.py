"""Parameters as plain dicts of tensors: every operation returns a new dict and touches none of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.types import Params


def to(params: Params, device: torch.device) -> Params:
    """On a device."""
    return {name: p.to(device) for name, p in params.items()}


def detach(params: Params) -> Params:
    """Without their history; the same memory."""
    return {name: p.detach() for name, p in params.items()}


def trainable(params: Params) -> Params:
    """Detached leaves that require grad."""
    return {name: p.detach().requires_grad_(True) for name, p in params.items()}


def gradient(loss: Tensor, leaves: Params) -> Params:
    """Of a scalar in each leaf; 0 where it does not depend on one."""
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(leaves.items(), grads, strict=True)}


def stack(many: Sequence[Params]) -> Params:
    """B dicts of (...) tensors -> one dict of (B, ...) tensors."""
    return {name: torch.stack([params[name] for params in many]) for name in many[0]}


def unstack(stacked: Params) -> list[Params]:
    """One dict of (B, ...) tensors -> B dicts of views."""
    num_tasks = next(iter(stacked.values())).shape[0]
    return [{name: p[i] for name, p in stacked.items()} for i in range(num_tasks)]


def repeat(params: Params, num_tasks: int) -> Params:
    """The same parameters for each of B tasks, as (B, ...) views without a copy."""
    return {name: p.expand(num_tasks, *p.shape) for name, p in params.items()}


def flatten(params: Params) -> Tensor:
    """All values in one vector, in the dict's order."""
    return torch.cat([p.reshape(-1) for p in params.values()])


def unflatten(vector: Tensor, like: Params) -> Params:
    """The inverse of `flatten`, with the names and shapes of `like`."""
    pieces = vector.split([p.numel() for p in like.values()])
    return {name: piece.view_as(p) for (name, p), piece in zip(like.items(), pieces, strict=True)}


def is_finite(params: Params) -> bool:
    """Whether all entries are."""
    return bool(torch.stack([torch.isfinite(p).all() for p in params.values()]).all())  # a GPU is waited for once


def check_tensors_match(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], *, what: str) -> None:
    """Raises UserError that lists every tensor missing, left over, or of another shape or dtype."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not expected" for name in found if name not in expected]
    for name in expected:
        if name in found and (ours := _kind(expected[name])) != (theirs := _kind(found[name])):
            problems.append(f"{name} is {theirs}, expected {ours}")
    if problems:
        raise UserError(f"{what} does not fit this config: {'; '.join(problems)}; use the config it came from")


def _kind(tensor: Tensor) -> str:
    if not isinstance(tensor, Tensor):  # of a stored state, whoever wrote it
        return f"no tensor but a {type(tensor).__name__}"
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
