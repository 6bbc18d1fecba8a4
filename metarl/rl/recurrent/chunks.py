"""Trials cut into chunks that start from stored memory states: truncated back-propagation, all chunks side by side."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Chunks(NamedTuple):
    """Trials cut into K chunks of C steps, time first: (C, B, K, ...), padded steps masked; states are (B, K, S)."""

    inputs: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    targets: Tensor  # returns as the value head predicts them
    mask: Tensor
    states: Tensor

    def of_trials(self, rows: Tensor) -> Chunks:
        """The chunks of some trials side by side, (C, rows * K, ...)."""
        return Chunks(
            inputs=self.inputs[:, rows].flatten(1, 2),
            actions=self.actions[:, rows].flatten(1, 2),
            log_probs=self.log_probs[:, rows].flatten(1, 2),
            advantages=self.advantages[:, rows].flatten(1, 2),
            targets=self.targets[:, rows].flatten(1, 2),
            mask=self.mask[:, rows].flatten(1, 2),
            states=self.states[rows].flatten(0, 1),
        )


def cut(x: Tensor, steps: int) -> Tensor:
    """(B, L, ...) -> (C, B, K, ...), the last chunk padded with zeros."""
    missing = -x.shape[1] % steps
    x = torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)
    return x.unflatten(1, (-1, steps)).movedim(2, 0).contiguous()
