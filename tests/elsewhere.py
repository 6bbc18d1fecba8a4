"""A device that this machine does not have: tensors that say they are elsewhere, and refuse those that are here.

`ELSEWHERE` has the name of torch's backend for lazy tensors, which nobody has here. While `Elsewhere` is on, its
tensors have values all the same, in memory of the CPU. So code that makes a tensor on the wrong device fails without a
GPU as it would with one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("lazy")
aten: Any = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
"""What may have tensors of both places: the copy from one to the other."""


class There(Tensor):
    """A tensor of the other device; `values` are on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> There:
        there = Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=ELSEWHERE,
        )
        there.values = values
        return there

    def tolist(self) -> Any:
        """torch refuses it for subclasses."""
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:
        return f"There({self.values!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} of a tensor elsewhere, outside of `with Elsewhere()`")


class Elsewhere(TorchDispatchMode):
    """Raises AssertionError where an operation has tensors of both devices, or numbers drawn by the CPU's generator.

    `copies_here` counts copies from there to the CPU, and single numbers that were asked for: each is a wait on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies_here = 0

    def __enter__(self) -> Elsewhere:
        self._before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=) is then a copy that this sees
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self._before)
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = [x for x in tensors if isinstance(x, There)]
        target = kwargs.get("device")
        is_there = bool(there) if target is None else torch.device(target).type == ELSEWHERE.type
        here = [x for x in tensors if not isinstance(x, There) and x.dim() > 0]
        if func not in MOVES:
            assert not (there and here), f"{func}: {[(type(x).__name__, tuple(x.shape)) for x in tensors]}"
        if is_there and kwargs.get("generator") is not None:
            raise AssertionError(f"{func} draws with the CPU's generator for the other device")
        if func is aten.copy_.default:
            is_there = isinstance(args[0], There)
        if func is aten._local_scalar_dense.default or (there and not is_there):
            self.copies_here += bool(there)
            is_there = False
        if target is not None and torch.device(target).type == ELSEWHERE.type:
            kwargs["device"] = torch.device("cpu")
        plain_args, plain_kwargs = tree_map(_values, (args, kwargs))
        out = func(*plain_args, **plain_kwargs)
        if not is_there:
            return out
        known = {id(x.values): x for x in there}  # what is changed in place stays the tensor that it was
        return tree_map(lambda x: known.get(id(x), There(x)) if isinstance(x, Tensor) else x, out)


def _values(x: Any) -> Any:
    return x.values if isinstance(x, There) else x
