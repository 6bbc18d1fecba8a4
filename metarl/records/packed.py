"""Arrays of numbers in few characters of JSON: whole numbers over one divisor, compressed, in base 85."""

from __future__ import annotations

import base64
import lzma
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 16
"""Of a number of the median's size, at least: 4.8 digits."""
SMALLEST = 4
"""Of a large number, at least so many bits below 1: tables show one decimal of differences."""
DECIMALS = 6
"""To which a share is known."""
MAX_TRIALS = 2000
MAX_VALUES = 2**22
NOT_A_NUMBER = np.iinfo(np.int64).min
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**20, "lc": 0, "lp": 0, "pb": 0}]


def pack(values: NDArray) -> dict[str, Any]:
    """{"over": d, "data": ...} with round(values d); shares k/n of up to `MAX_TRIALS` trials are exact, with d = n.

    With "along": i each number stands less the one before it on axis i, where that takes less.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    over = _divisor(values[finite])
    whole = np.where(finite, np.round(values * over), 0).astype("<i8")
    over = int(over) if over == int(over) else over
    found = {"over": over, "data": _encoded(np.where(finite, _unsigned(whole), NOT_A_NUMBER))}
    if finite.all() and values.ndim > 1:
        data = _encoded(_unsigned(np.diff(whole, axis=1, prepend=0)))
        if len(data) < len(found["data"]):
            return {"over": over, "along": 1, "data": data}
    return found


def unpack(packed: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Raises ValueError where that many numbers are too many, or are not what is packed."""
    count = int(np.prod(shape))
    if count > MAX_VALUES:
        raise ValueError(f"{count} numbers are more than the {MAX_VALUES} allowed")
    planes = np.frombuffer(_decompressed(packed["data"], max_bytes=8 * count), np.uint8)
    if planes.size != 8 * count:
        raise ValueError(f"{planes.size} bytes where {count} numbers take {8 * count}")
    unsigned = np.ascontiguousarray(planes.reshape(8, count).T).view("<i8").reshape(shape)
    whole = np.where(unsigned % 2, -(unsigned + 1) // 2, unsigned // 2)
    if packed.get("along"):
        whole = whole.cumsum(axis=1)
    return np.where(unsigned == NOT_A_NUMBER, np.nan, whole / packed["over"])


def pack_text(text: str) -> str:
    """A text as few ASCII letters; `unpack_text` gives it back."""
    return _compressed(text.encode())


def unpack_text(data: str, *, max_bytes: int = 2**22) -> str:
    """Raises ValueError where it is no such text, or a longer one."""
    return _decompressed(data, max_bytes=max_bytes).decode()


def _divisor(values: NDArray[np.float64]) -> float:
    found = np.unique(np.abs(values[values != 0]))
    if not found.size:
        return 1
    if found.max() <= 1:
        for trials in range(max(1, found.size), MAX_TRIALS + 1):
            # what was rounded to so many decimals is a share if the nearest share rounds to it
            if np.abs(np.round(found * trials) / trials - found).max() <= 0.51 * 10.0**-DECIMALS:
                return trials
    bits = max(BITS - 1 - int(np.floor(np.log2(np.median(found)))), SMALLEST)
    most = 60 - int(np.ceil(np.log2(found.max())))  # an error of 1e12 stands beside those of 0.1
    return 2.0 ** min(bits, most)


def _unsigned(whole: NDArray) -> NDArray:
    """A small one of either sign has nothing but its last bytes."""
    return np.where(whole < 0, -2 * whole - 1, 2 * whole)


def _encoded(whole: NDArray) -> str:
    planes = whole.reshape(-1, 1).view(np.uint8).T  # the high bytes of all numbers together: nearly all are 0
    return _compressed(np.ascontiguousarray(planes).tobytes())


def _compressed(data: bytes) -> str:
    return base64.b85encode(lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS)).decode()


def _decompressed(data: str, *, max_bytes: int) -> bytes:
    """Never more than that much memory, whatever the stream says."""
    stream = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        found = stream.decompress(base64.b85decode(data), max_bytes + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(str(error)) from error
    if len(found) > max_bytes or not stream.eof:
        raise ValueError(f"it holds more than the {max_bytes} bytes allowed, or is cut off")
    return found
