"""A nested state as a JSON tree and a flat dict of tensors, and back: pure, no files.

A state is nested dicts with string keys, lists and tuples of dense tensors, numbers, strings, bools and None.
{"policy": {"w": tensor}, "iteration": 3} becomes {"policy": {"w": {"$tensor": "policy.w"}}, "iteration": 3}
and {"policy.w": tensor}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MAX_DEPTH = 100

_TENSOR, _TUPLE = "$tensor", "$tuple"
_DTYPES = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}


def encode_state(state: Mapping[str, Any]) -> tuple[Any, dict[str, Tensor]]:
    """JSON tree, and copies of the tensors on the CPU, named by their place in the tree.

    Raises TypeError naming the key that cannot be stored, ValueError for a NaN or infinity outside tensors.
    """
    tensors: dict[str, Tensor] = {}
    return _encode(state, (), tensors), tensors


def decode_state(tree: Any, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Undo encode_state. Raises ValueError if tree and tensors do not fit, or the tree is too deep."""
    left = dict(tensors)
    state = _decode(tree, left, 0)
    if not isinstance(state, dict):
        raise ValueError(f"a state is an object, not a {type(state).__name__}")
    if left:
        raise ValueError(f"the state does not name the tensor {min(left)!r}")
    return state


def _encode(value: Any, keys: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    where = ".".join(keys) or "the state"
    if len(keys) > MAX_DEPTH:
        raise ValueError(f"{where} is nested deeper than the {MAX_DEPTH} levels allowed; flatten it")
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}={value} must be finite; keep it in a tensor if it is meant")
        return value
    if isinstance(value, Tensor):
        if value.layout is not torch.strided or value.dtype not in _DTYPES:
            raise TypeError(f"{where} is a tensor of {value.dtype}, {value.layout}; use a dense, plain dtype")
        name = where
        while name in tensors or name == "__metadata__":  # {"a.b": x, "a": {"b": y}}; safetensors' own entry
            name += "'"
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key in (_TENSOR, _TUPLE):
                raise TypeError(f"{where} has the key {key!r}; use strings but the reserved {_TENSOR} and {_TUPLE}")
        return {key: _encode(item, (*keys, key), tensors) for key, item in value.items()}
    if type(value) in (list, tuple):
        items = [_encode(item, (*keys, str(index)), tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    raise TypeError(f"{where} is a {type(value).__name__}; use tensors, numbers, strings, lists and dicts")


def _decode(node: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """Each tensor is taken out of `tensors`."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than the {MAX_DEPTH} levels allowed")
    if isinstance(node, list):
        return [_decode(item, tensors, depth + 1) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and isinstance(name := node.get(_TENSOR), str):
        if name not in tensors:
            raise ValueError(f"there is no tensor {name!r}")
        return tensors.pop(name)
    if len(node) == 1 and isinstance(items := node.get(_TUPLE), list):
        return tuple(_decode(item, tensors, depth + 1) for item in items)
    return {key: _decode(item, tensors, depth + 1) for key, item in node.items()}
