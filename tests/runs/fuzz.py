"""Damaged JSON, from a seed: a value of the tree replaced, lost or doubled, or bytes of the text."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

from metarl.runs.checkpoint import _DIGEST, _digest

STRANGE: list[Any] = [
    *(None, True, -1, 0, 10**30, -(10**30), 1e308, 0.5, float("nan"), float("inf")),
    *("", "x", "../../x", "\ud800", "\x1b[2J", "a" * 3000, "nan"),
    *([], {}, [[]], [None], [1, "x"], {"": 1}, {"x": {}}, [[1.0], [1.0, 2.0]], [[[[0.0]]]]),
]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Of a file of one JSON value, or of one a line. Most stay JSON."""
    if rng.random() < 0.15:
        return _damaged_bytes(data, rng)
    lines = data.splitlines() if data.startswith(b"{") and b"}\n{" in data else [data]
    at = int(rng.integers(len(lines)))
    tree = json.loads(lines[at])
    for _ in range(int(rng.integers(1, 3))):
        tree = _changed(tree, rng)
    lines[at] = json.dumps(tree).encode()
    return b"\n".join(lines) + b"\n"


def _damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return [
        data[:at],
        data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :],
        data[:at] + data,
        b"[" * 100_000,
        b"",
        b"\xff\xfe" + data,
    ][int(rng.integers(6))]


def _changed(tree: Any, rng: np.random.Generator) -> Any:
    """A copy with one node changed, however deep it lies."""
    tree = {"": copy.deepcopy(tree)}
    parent, key = tree, ""
    while isinstance(child := parent[key], (dict, list)) and child and rng.random() < 0.8:
        keys = list(child) if isinstance(child, dict) else range(len(child))
        parent, key = child, keys[int(rng.integers(len(keys)))]
    kind = int(rng.integers(4))
    if kind == 0 and parent is not tree:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif kind == 2 and isinstance(parent, dict) and parent is not tree:
        parent[str(STRANGE[10 + int(rng.integers(7))])] = parent.pop(key)
    else:
        parent[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    return tree[""]


def damaged_checkpoint(data: bytes, rng: np.random.Generator) -> bytes:
    """What a checkpoint says, and not its tensors; its digest is right, as a stranger would have it."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    ((key, said),) = header["__metadata__"].items()
    header["__metadata__"][key] = said[:64] + damaged(said[64:].encode(), rng).decode(errors="replace")
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + data[8 + size :]
    return data[: _DIGEST.start] + _digest(data).encode() + data[_DIGEST.stop :]
