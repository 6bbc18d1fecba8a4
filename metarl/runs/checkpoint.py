"""Checkpoints: one file that is whole or absent, is checked when loaded, and executes no code.

iteration_000120.safetensors holds every tensor, under its place in the state joined by dots. Its metadata has one
entry: the SHA-256 of all else in the file, and behind it JSON with the format's version, the libraries' versions and
the rest of the state, where {"$tensor": NAME} stands for a tensor.

Until metarl 0.1 a checkpoint was a directory of weights.safetensors, state.json and manifest.json; these still load.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from metarl.errors import UserError
from metarl.files import read_plain, remove_stale, replace_file
from metarl.runs.state_codec import MAX_DEPTH, decode_state, encode_state
from metarl.runs.versions import library_versions
from metarl.text import printable, sentence

FORMAT_VERSION = 2
SUFFIX = ".safetensors"
MAX_HEADER_BYTES = 64 * 2**20
"""JSON with the state and the tensors' names; safetensors itself refuses more than 100 MB."""
MAX_BYTES = 4 * 2**30

_KEY = "metarl-checkpoint"
_BEFORE_DIGEST = f'{{"__metadata__":{{"{_KEY}":"'.encode()
_DIGEST = slice(8 + len(_BEFORE_DIGEST), 8 + len(_BEFORE_DIGEST) + 64)
_PARTS = _WEIGHTS, _STATE, _MANIFEST = "weights.safetensors", "state.json", "manifest.json"
"""Of a checkpoint that is a directory."""
_NAME = re.compile(r"iteration_(\d{6,})(\.safetensors)?")
_NUMERICS = ("torch", "numpy", "mujoco", "metaworld")


class CheckpointError(UserError):
    """A checkpoint that cannot be written or must not be read; names the file and what is wrong."""


def save_checkpoint(root: Path, iteration: int, state: Mapping[str, Any], *, keep: int = 3) -> Path:
    """Write ROOT/iteration_NNNNNN.safetensors whole or not at all, then prune older ones beyond the newest `keep`.

    The state (state_codec.py says what it may hold) comes back equal, its tensors detached and on the CPU.
    Raises TypeError or ValueError naming the key that cannot be stored, CheckpointError if the disk fails.
    """
    if iteration < 0 or keep < 1:
        raise ValueError(f"iteration={iteration} must be >= 0 and keep={keep} must be >= 1")
    data = _encode(state)
    target = root / f"iteration_{iteration:06d}{SUFFIX}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        remove_stale(root)
        replace_file(target, data)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot save {target}: {reason}; free space or choose another --out") from error
    _prune(root, iteration, keep=keep)
    return target


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The saved state, checked byte for byte against its digest. Raises CheckpointError, runs no code."""
    about, weights = (_read_file if path.suffix == SUFFIX else _read_directory)(path)
    try:
        state = decode_state(about["state"], load_tensors(weights))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _bad(path, f"does not hold a state: {error}") from error
    _warn_of_other_versions(path, about.get("versions"))
    return state


def load_latest(root: Path) -> tuple[dict[str, Any], Path] | None:
    """State and path of the newest valid checkpoint below root, or None if there is no checkpoint at all.

    Each bad one that is skipped is named in a warning. Raises CheckpointError if all are bad.
    """
    reasons = []
    for path in reversed(list_checkpoints(root)):
        try:
            return load_checkpoint(path), path
        except CheckpointError as error:
            reasons.append(str(error))
            warnings.warn(sentence(f"skipped a bad checkpoint: {error}"), stacklevel=2)
    if reasons:
        raise CheckpointError(f"no checkpoint in {root} is valid ({len(reasons)} tried): {reasons[0]}")
    return None


def list_checkpoints(root: Path) -> list[Path]:
    """What is named like a checkpoint below root by iteration, oldest first; not checked, links not followed."""
    try:
        paths = list(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((path for path in paths if _NAME.fullmatch(path.name)), key=lambda path: (_iteration(path), path))


def iterations_of(root: Path) -> list[int]:
    """Of the checkpoints below root, oldest first."""
    return [_iteration(path) for path in list_checkpoints(root)]


def _iteration(path: Path) -> int:
    return int(path.name.removeprefix("iteration_").removesuffix(SUFFIX))


# ---- writing


def _encode(state: Mapping[str, Any]) -> bytes:
    tree, tensors = encode_state(state)
    about = {"format_version": FORMAT_VERSION, "versions": library_versions(), "state": tree}
    # one entry of metadata: the order of several would differ from run to run
    data = save_tensors(tensors, {_KEY: "0" * 64 + json.dumps(about, allow_nan=False)})
    if (size := _header_bytes(data)) > MAX_HEADER_BYTES:
        raise ValueError(f"state without its tensors takes {size} bytes, at most {MAX_HEADER_BYTES}; use tensors")
    if (size := len(data)) > MAX_BYTES:
        raise ValueError(f"the tensors of a state take {size} bytes, at most {MAX_BYTES}; use a smaller net")
    return data[: _DIGEST.start] + _digest(data).encode() + data[_DIGEST.stop :]


def _header_bytes(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _digest(data: bytes) -> str:
    """Of a checkpoint file, but for the digest in it."""
    digest = hashlib.sha256(data[: _DIGEST.start])
    digest.update(memoryview(data)[_DIGEST.stop :])
    return digest.hexdigest()


def _prune(root: Path, newest: int, *, keep: int) -> None:
    """Iterations after `newest` are left alone: bad ones, behind which a resume went back."""
    older = [path for path in list_checkpoints(root) if _iteration(path) <= newest]
    for path in older[:-keep]:
        try:
            _remove_checkpoint(path)
        except OSError as error:
            warnings.warn(f"could not remove the old checkpoint {path}: {error.strerror}", stacklevel=3)


def _remove_checkpoint(path: Path) -> None:
    """A directory that has anything else in it than a checkpoint's own three files is left as it is."""
    if path.suffix == SUFFIX or path.is_symlink():
        path.unlink()
    elif {entry.name for entry in path.iterdir()} <= set(_PARTS):
        for name in reversed(_PARTS):  # once its manifest is gone it counts as incomplete
            (path / name).unlink(missing_ok=True)
        path.rmdir()


# ---- reading: nothing in a checkpoint is trusted


def _bad(where: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"{where} {problem}; use another checkpoint")


def _read_file(path: Path) -> tuple[dict[str, Any], bytes]:
    """What its metadata say, and the file, whose digest is checked before anything in it is looked at."""
    data = _read(path)
    if data[8 : _DIGEST.start] != _BEFORE_DIGEST:
        raise _bad(path, "is no checkpoint of metarl")
    if data[_DIGEST] != _digest(data).encode():
        raise _bad(path, "does not match its SHA-256 checksum: it changed after it was written")
    if (size := _header_bytes(data)) > MAX_HEADER_BYTES:
        raise _bad(path, f"has a header of {size} bytes, more than the {MAX_HEADER_BYTES} allowed")
    try:
        text = _parse_json(data[8 : 8 + size], path)["__metadata__"][_KEY][64:].encode(errors="surrogatepass")
    except (KeyError, TypeError, AttributeError) as error:
        raise _bad(path, "has no metadata of metarl") from error
    about = _parse_json(text, path)
    if not isinstance(about, dict) or type(version := about.get("format_version")) is not int:
        raise _bad(path, "has no format version")
    if version > FORMAT_VERSION:
        raise CheckpointError(f"{path} has format version {version}, newer than {FORMAT_VERSION}; update metarl")
    return about, data


def _read_directory(path: Path) -> tuple[dict[str, Any], bytes]:
    """The same of a directory, whose manifest has the digests of the other two files."""
    if path.is_symlink():
        raise _bad(path, "is a link, and links are not followed")
    manifest = _parse_json(_read(path / _MANIFEST), path / _MANIFEST)
    contents = {name: _read(path / name) for name in (_WEIGHTS, _STATE)}
    try:
        digests = {name: manifest["files"][name]["sha256"] for name in contents}
        versions = manifest.get("versions")
    except (KeyError, TypeError, AttributeError) as error:
        raise _bad(path / _MANIFEST, "is not the manifest of a metarl checkpoint") from error
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != digests[name]:
            raise _bad(path / name, "does not match its SHA-256 checksum: it changed after it was written")
    return {"versions": versions, "state": _parse_json(contents[_STATE], path / _STATE)}, contents[_WEIGHTS]


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, max_bytes=MAX_HEADER_BYTES if path.suffix == ".json" else MAX_BYTES)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from error


def _parse_json(data: bytes, where: Path) -> Any:
    try:
        return json.loads(data, parse_float=_finite_float, parse_constant=_finite_float)
    except RecursionError:
        raise _bad(where, f"is nested deeper than the {MAX_DEPTH} levels allowed") from None
    except ValueError as error:  # malformed, not UTF-8, or not finite
        raise _bad(where, f"is not valid JSON ({error})") from error


def _finite_float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


def _warn_of_other_versions(path: Path, saved: Any) -> None:
    ours = library_versions()
    if not isinstance(saved, dict):
        return
    pairs = [(name, saved.get(name), ours[name]) for name in _NUMERICS]
    changed = [
        f"{name} {printable(then):.40} -> {now}" for name, then, now in pairs if isinstance(then, str) and then != now
    ]
    if changed:
        warnings.warn(f"{path} came from other versions, so numbers may differ: {', '.join(changed)}", stacklevel=3)
