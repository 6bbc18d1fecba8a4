"""Checkpoints: a directory that is whole or absent, is checked when loaded, and executes no code.

iteration_000120/
    weights.safetensors   every tensor, under its place in the state joined by dots
    state.json            everything else, with {"$tensor": NAME} where a tensor stood
    manifest.json         format version, SHA-256 and size of both files, library versions; written last
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from metarl.errors import UserError
from metarl.files import process_alive, read_plain, sync_directory, write_synced
from metarl.runs.state_codec import MAX_DEPTH, decode_state, encode_state
from metarl.runs.versions import library_versions
from metarl.text import printable, sentence

FORMAT = "metarl-checkpoint"
FORMAT_VERSION = 1
WEIGHTS, STATE, MANIFEST = "weights.safetensors", "state.json", "manifest.json"
MAX_JSON_BYTES = 64 * 2**20
MAX_MANIFEST_BYTES = 2**20
MAX_WEIGHTS_BYTES = 4 * 2**30

_NAME = re.compile(r"iteration_(\d{6,})")
_TEMPORARY = re.compile(r"\.iteration_\d{6,}\.(?:tmp|old)-(\d+)")
_NUMERICS = ("torch", "numpy", "mujoco", "metaworld")


class CheckpointError(UserError):
    """A checkpoint that cannot be written or must not be read; names the file and what is wrong."""


def save_checkpoint(root: Path, iteration: int, state: Mapping[str, Any], *, keep: int = 3) -> Path:
    """Write ROOT/iteration_NNNNNN whole or not at all, then prune older checkpoints beyond the newest `keep`.

    The state (state_codec.py says what it may hold) comes back equal, its tensors detached and on the CPU.
    Raises TypeError or ValueError naming the key that cannot be stored, CheckpointError if the disk fails.
    """
    if iteration < 0 or keep < 1:
        raise ValueError(f"iteration={iteration} must be >= 0 and keep={keep} must be >= 1")
    files = _encode_files(state)
    target = root / f"iteration_{iteration:06d}"
    temporary = root / f".{target.name}.tmp-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        temporary.mkdir()
        for name, data in files.items():
            write_synced(temporary / name, data)
        sync_directory(temporary)
        _put_in_place(temporary, target)
        sync_directory(root)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot save {target}: {reason}; free space or choose another --out") from error
    finally:  # also when a signal raises in the middle
        if temporary.exists():
            _remove_checkpoint(temporary)
    _prune(root, iteration, keep=keep)
    return target


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The saved state, checked byte for byte against its manifest. Raises CheckpointError, runs no code."""
    manifest = _read_manifest(path)
    contents = {name: _read_verified(path / name, entry) for name, entry in manifest["files"].items()}
    tree = _parse_json(contents[STATE], path / STATE)
    try:
        tensors = load_tensors(contents[WEIGHTS])
    except (SafetensorError, ValueError, KeyError) as error:
        raise _bad(path / WEIGHTS, f"is not a safetensors file ({error})") from error
    try:
        state = decode_state(tree, tensors)
    except ValueError as error:
        raise _bad(path / STATE, f"does not hold a state: {error}") from error
    _warn_of_other_versions(path, manifest)
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
    return sorted((path for path in paths if _NAME.fullmatch(path.name)), key=_iteration)


def _iteration(path: Path) -> int:
    return int(path.name.removeprefix("iteration_"))


# ---- writing


def _encode_files(state: Mapping[str, Any]) -> dict[str, bytes]:
    """Contents by file name, the manifest last."""
    tree, tensors = encode_state(state)
    contents = {WEIGHTS: save_tensors(tensors), STATE: json.dumps(tree, allow_nan=False).encode()}
    if (size := len(contents[STATE])) > MAX_JSON_BYTES:
        raise ValueError(f"state without its tensors takes {size} bytes, at most {MAX_JSON_BYTES}; use tensors")
    if (size := len(contents[WEIGHTS])) > MAX_WEIGHTS_BYTES:
        raise ValueError(f"the tensors of a state take {size} bytes, at most {MAX_WEIGHTS_BYTES}; use a smaller net")
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "files": {name: {"sha256": _digest(data), "bytes": len(data)} for name, data in contents.items()},
        "versions": library_versions(),
    }
    return {**contents, MANIFEST: json.dumps(manifest, indent=1).encode()}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename; a directory that already has the name steps aside until the new one stands."""
    if not os.path.lexists(target):
        os.replace(temporary, target)
        return
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    os.replace(target, aside)
    try:
        os.replace(temporary, target)
    except BaseException:
        os.replace(aside, target)
        raise
    _remove_checkpoint(aside)


def _remove_stale(root: Path) -> None:
    """Remove what writers that are dead, or an earlier one that had our process id, left half done."""
    for path in root.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match and ((pid := int(match[1])) == os.getpid() or not process_alive(pid)):
            _remove_checkpoint(path)


def _prune(root: Path, newest: int, *, keep: int) -> None:
    """Iterations after `newest` are left alone: bad ones, behind which a resume went back."""
    older = [path for path in list_checkpoints(root) if _iteration(path) <= newest]
    for path in older[:-keep]:
        _remove_checkpoint(path)


def _remove_checkpoint(path: Path) -> None:
    """Remove our own three files and the directory; leave all as it is if anything else lies in it."""
    try:
        if path.is_symlink():
            path.unlink()
            return
        names = {entry.name for entry in path.iterdir()}
        if not names <= {MANIFEST, WEIGHTS, STATE}:
            return
        for name in (MANIFEST, WEIGHTS, STATE):  # once its manifest is gone it counts as incomplete
            (path / name).unlink(missing_ok=True)
        path.rmdir()
    except OSError as error:
        warnings.warn(f"could not remove the old checkpoint {path}: {error.strerror}", stacklevel=2)


# ---- reading: nothing in the directory is trusted


def _bad(where: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"{where} {problem}; use another checkpoint")


def _read_manifest(path: Path) -> dict[str, Any]:
    where = path / MANIFEST
    if path.is_symlink():
        raise _bad(path, "is a link, and links are not followed")
    if not path.is_dir():
        raise _bad(path, "does not exist")
    if not os.path.lexists(where):
        raise _bad(path, f"is incomplete: it has no {MANIFEST}")
    manifest = _parse_json(_read(where, max_bytes=MAX_MANIFEST_BYTES), where)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _bad(where, "is not the manifest of a metarl checkpoint")
    version = manifest.get("format_version")
    if type(version) is not int or version < 1:
        raise _bad(where, "has no format version")
    if version > FORMAT_VERSION:
        raise CheckpointError(f"{where} has format version {version}, newer than {FORMAT_VERSION}; update metarl")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_entry(entry) for entry in files.values()):
        raise _bad(where, "does not give a SHA-256 and a size for each file")
    if files.keys() != {WEIGHTS, STATE}:  # so no name with '..' and no absolute one comes through
        raise _bad(where, f"must list {WEIGHTS} and {STATE} and nothing else, not {sorted(files)}")
    return manifest


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)


def _read_verified(path: Path, entry: Mapping[str, Any]) -> bytes:
    limit = MAX_JSON_BYTES if path.name == STATE else MAX_WEIGHTS_BYTES
    data = _read(path, max_bytes=limit, size=entry["bytes"])
    if _digest(data) != entry["sha256"]:
        raise _bad(path, "does not match its SHA-256 checksum: it changed after it was written")
    return data


def _read(path: Path, *, max_bytes: int, size: int | None = None) -> bytes:
    try:
        return read_plain(path, max_bytes=max_bytes, size=size)
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


def _warn_of_other_versions(path: Path, manifest: Mapping[str, Any]) -> None:
    saved, ours = manifest.get("versions"), library_versions()
    if not isinstance(saved, dict):
        return
    pairs = [(name, saved.get(name), ours[name]) for name in _NUMERICS]
    changed = [
        f"{name} {printable(then):.40} -> {now}" for name, then, now in pairs if isinstance(then, str) and then != now
    ]
    if changed:
        warnings.warn(f"{path} came from other versions, so numbers may differ: {', '.join(changed)}", stacklevel=3)
