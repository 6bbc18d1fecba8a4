"""An adapted policy on disk: its phi as safetensors, all else as JSON, checksummed; nothing in it is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.files import replace_file
from metarl.learn.params import check_tensors_match
from metarl.runs.checkpoint import load_latest, save_checkpoint
from metarl.runs.directory import CONFIG
from metarl.types import Phi

RECORD = "adapted.json"


def save_adapted(directory: Path, phi: Phi, record: Mapping[str, Any]) -> None:
    """`record` is for people (adapted.json); the policy lies beside it as a checkpoint. Raises UserError."""
    save_session(directory, phi, (), record)


def save_session(directory: Path, phi: Phi, episodes: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> None:
    """The same with episodes that phi has not learned from yet, each as its fields.

    What is there of the same agent is replaced. Raises UserError for a run directory, and another agent's policy.
    """
    _check_is_its_own(directory, phi)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        state = {"phi": phi, "record": dict(record)} | ({"episodes": list(episodes)} if episodes else {})
        save_checkpoint(directory, 0, state, keep=1)
        replace_file(directory / RECORD, json.dumps(record, indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write {directory}: {error.strerror}; give another --out") from error


def _check_is_its_own(directory: Path, phi: Phi) -> None:
    if (directory / CONFIG).exists():
        raise UserError(f"{directory} is a run directory; give another --out, where the adapted policy stands alone")
    if not (directory / RECORD).exists():
        return
    found = load_latest(directory)
    try:
        check_tensors_match(found[0].get("phi", {}) if found else {}, phi, what="phi")
    except UserError as error:
        raise UserError(f"{directory} holds the adapted policy of another agent; give another --out") from error


def load_adapted(directory: Path) -> tuple[Phi, dict[str, Any]]:
    """(phi for the learner's actor, the record). Raises UserError."""
    phi, _, record = load_session(directory)
    return phi, record


def load_session(directory: Path) -> tuple[Phi, list[dict[str, Any]], dict[str, Any]]:
    """(phi, the fields of each episode that it has not learned from, the record). Raises UserError."""
    found = load_latest(directory)
    if found is None:
        raise UserError(f"{directory} holds no adapted policy; make one with metarl adapt RUN_DIR --task TASK")
    state, _ = found
    if not {"phi", "record"} <= state.keys():
        raise UserError(f"{directory} holds no adapted policy but another checkpoint; make one with metarl adapt")
    return state["phi"], state.get("episodes", []), state["record"]
