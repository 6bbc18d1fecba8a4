"""Where the learner computes; rollouts always run on the CPU."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from metarl.errors import UserError

DeviceName = Literal["auto", "cpu", "cuda"]


def resolve_device(name: DeviceName) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError for `cuda` without a usable GPU."""
    if name not in get_args(DeviceName):
        raise UserError(f"device={name!r} must be {', '.join(get_args(DeviceName))}; take one of those")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device='cuda', but torch finds no usable GPU here; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
