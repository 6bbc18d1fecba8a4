"""What goes between a runner and its workers, as bytes: from our own child or parent, never from a file."""

from __future__ import annotations

import io
import pickle

import numpy as np
import torch

from metarl.errors import UserError, sentence_of

UNSENDABLE = (pickle.PicklingError, AttributeError, TypeError)
"""What pickle raises for what it cannot take."""


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


class _Pickler(pickle.Pickler):
    """Tensors go as their bytes: torch's own reducers would open a shared-memory file for each of them."""

    def reducer_override(self, obj: object) -> object:
        if isinstance(obj, torch.Tensor):
            return _tensor, (obj.detach().cpu().contiguous().numpy(),)
        return NotImplemented


def to_bytes(message: object) -> memoryview:
    """Raises what pickle does for what it cannot take: PicklingError, AttributeError, TypeError, ..."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(message)
    return buffer.getbuffer()


def from_bytes(data: bytes) -> object:
    """What `to_bytes` made. Only of what this program's own processes sent."""
    return pickle.loads(data)


def cannot_be_sent(what: str, error: Exception, *, to: str, instead: str) -> UserError:
    """Of what `to_bytes` raised on it."""
    return UserError(
        f"{what} cannot be sent to {to} ({sentence_of(error)}); make it of classes that can be imported and of plain "
        f"data, or take {instead}"
    )
