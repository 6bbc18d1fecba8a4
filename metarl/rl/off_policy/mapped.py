"""Tensors whose numbers are in a file, of which the operating system keeps in memory what it has room for."""

from __future__ import annotations

import math
import mmap
import tempfile

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.files import reserve


def mapped(*shape: int, dtype: torch.dtype) -> Tensor:
    """Zeros in a file without a name, which is gone with the tensor, in the folder for temporary files (TMPDIR).

    Raises UserError where the disk has no room for all of it.
    """
    num_bytes = math.prod(shape) * dtype.itemsize
    if not num_bytes:
        return torch.zeros(shape, dtype=dtype)
    try:
        with tempfile.TemporaryFile() as file:
            reserve(file.fileno(), num_bytes)
            pages = mmap.mmap(file.fileno(), num_bytes)  # has a descriptor of its own
    except (OSError, OverflowError) as error:  # OverflowError: more than a file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"a replay on the disk takes {num_bytes:,} bytes in {tempfile.gettempdir()} ({reason}); set TMPDIR to a "
            "folder with more room, or lower replay_capacity"
        ) from error
    return torch.frombuffer(pages, dtype=dtype).view(shape)
