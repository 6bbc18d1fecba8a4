"""The arrays of a group's episodes, laid out in one block of bytes so that they can lie in shared memory.

They have room for whole episodes where the horizon is near. Where it is far (`FAR_STEPS`) few episodes may come near
it: arrays have room for so many steps at first, and where an episode outgrows them they are made anew, longer, and the
group is run again with the same seeds.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.types import FAR_STEPS, EnvSpec, Episodes

Arrays = dict[str, NDArray]
"""The fields of Episodes as NumPy arrays, one row an episode."""

_ALIGN = 64


class Outgrown(Exception):
    """An episode goes on where the arrays end."""


def longer(spec: EnvSpec, steps: int) -> int:
    """The next length of arrays that had `steps` steps."""
    return min(2 * steps, spec.horizon_steps)


def layout(spec: EnvSpec, num_episodes: int, steps: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each field for N episodes of T = `steps`."""
    n, t = num_episodes, steps
    actions = ((n, t), np.int64) if spec.discrete else ((n, t, spec.action_dim), np.float32)
    fields = {
        "obs": ((n, t, spec.obs_dim), np.float32),
        "actions": actions,
        "rewards": ((n, t), np.float32),
        "log_probs": ((n, t), np.float32),
        "terminated": ((n, t), np.bool_),
        "truncated": ((n, t), np.bool_),
        "success": ((n, t), np.bool_),
        "mask": ((n, t), np.bool_),
        "last_obs": ((n, spec.obs_dim), np.float32),
    }
    return {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in fields.items()}


def _padded(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.ceil(math.prod(shape) * dtype.itemsize / _ALIGN) * _ALIGN


def num_bytes(spec: EnvSpec, num_episodes: int, steps: int) -> int:
    """Of the arrays that so many episodes are written to."""
    return sum(_padded(shape, dtype) for shape, dtype in layout(spec, num_episodes, steps).values())


def arrays_in(block: memoryview | bytearray, spec: EnvSpec, num_episodes: int, steps: int) -> Arrays:
    """Views into `block`, which must hold at least `num_bytes` bytes."""
    arrays, offset = {}, 0
    for name, (shape, dtype) in layout(spec, num_episodes, steps).items():
        arrays[name] = np.ndarray(shape, dtype, buffer=block, offset=offset)
        offset += _padded(shape, dtype)
    return arrays


def new_arrays(spec: EnvSpec, num_episodes: int, steps: int) -> Arrays:
    """Raises UserError where there is no memory for so many steps."""
    size = num_bytes(spec, num_episodes, steps)
    try:
        block = bytearray(size)
    except (MemoryError, OverflowError) as error:
        raise UserError(
            f"{num_episodes} episodes of up to {steps} steps need {size / 2**30:.0f} GiB, and horizon_steps="
            f"{spec.horizon_steps}; lower horizon_steps, at which episodes are truncated, or lanes_per_group"
        ) from error
    return arrays_in(block, spec, num_episodes, steps)


def to_episodes(arrays: Arrays, rows: slice) -> Episodes:
    """A copy of the named rows, so that the block can be used again; of a far horizon up to the longest's last step."""
    steps = arrays["mask"].shape[1]
    if steps >= FAR_STEPS:
        steps = max(1, int(arrays["mask"][rows].sum(1).max()))
    names = [field.name for field in dataclasses.fields(Episodes)]
    parts = {name: arrays[name][rows] if name == "last_obs" else arrays[name][rows, :steps] for name in names}
    return Episodes(**{name: torch.from_numpy(part.copy()) for name, part in parts.items()})


def check_episodes(episodes: Episodes, spec: EnvSpec) -> None:
    """Of one episode or more that a file holds. Raises ValueError for other shapes, dtypes or numbers than ours."""
    tensors = vars(episodes)
    shape = tensors["mask"].shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"mask has shape {tuple(shape)} and must be of episodes and their steps")
    for name, (wanted, dtype) in layout(spec, *shape).items():
        tensor = tensors[name]
        if tuple(tensor.shape) != wanted or tensor.numpy().dtype != dtype:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise ValueError(f"{name} is {found} and must be {dtype} of shape {wanted}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds a NaN or an infinity")


def episodes_by_job(arrays: Arrays, num_jobs: int, *, per_job: int) -> list[Episodes]:
    """The group's episodes cut into its jobs, `per_job` rows each; copies."""
    return [to_episodes(arrays, slice(i * per_job, (i + 1) * per_job)) for i in range(num_jobs)]
