"""Files in the directory named by METARL_DATA, checked before anything is made of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.files import replace_file

VARIABLE = "METARL_DATA"


def data_directory() -> Path:
    """Raises UserError if METARL_DATA names no directory."""
    place = os.environ.get(VARIABLE)
    if not place:
        raise UserError(f"{VARIABLE} is not set; set it to the directory that holds the few-shot data files")
    if not Path(place).is_dir():
        raise UserError(f"{VARIABLE}={place} is not a directory; correct it")
    return Path(place)


def find_file(name: str, *, remedy: str) -> Path:
    """A file of the data directory. Raises UserError with the remedy if it is not there."""
    try:
        path = data_directory() / name
    except UserError as error:
        raise UserError(f"{name} cannot be found: {error}; {remedy}") from None
    if not path.is_file():
        raise UserError(f"there is no {name} in {VARIABLE}={path.parent}; {remedy}")
    return path


def read_arrays(path: Path, *, sha256: dict[str, str], remedy: str) -> dict[str, NDArray]:
    """Arrays of an .npz file; those in `sha256` are checked by the digest of their bytes.

    Raises UserError for a truncated or damaged file, a missing array or a wrong digest.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); {remedy}") from error
    check_digests(arrays, sha256, what=str(path), remedy=remedy)
    return arrays


def check_digests(arrays: dict[str, NDArray], sha256: dict[str, str], *, what: str, remedy: str) -> None:
    """Raises UserError for an array that is missing or has other bytes."""
    for name, expected in sha256.items():
        if name not in arrays:
            raise UserError(f"{what} has no array {name!r}; {remedy}")
        found = hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest()
        if found != expected:
            raise UserError(
                f"{name} in {what} has the SHA-256 {found[:16]}..., expected {expected[:16]}...: it is not the data "
                f"that results were measured on; {remedy}"
            )


def read_json(path: Path, *, remedy: str) -> Any:
    """Contents of a .json.gz file. Raises UserError for one that is truncated or damaged."""
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); {remedy}") from error


def write_arrays(path: Path, arrays: dict[str, NDArray]) -> Path:
    """An .npz file, whole or not at all. Raises UserError where it cannot be written."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return write_file(path, buffer.getvalue())


def write_file(path: Path, data: bytes) -> Path:
    """Whole or not at all. Raises UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; set {VARIABLE} to another directory") from error
    return path
