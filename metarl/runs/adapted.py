"""An adapted policy on disk: its phi as safetensors, all else as JSON, checksummed; nothing in it is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.files import replace_file
from metarl.runs.checkpoint import load_latest, save_checkpoint
from metarl.types import Phi

RECORD = "adapted.json"


def save_adapted(directory: Path, phi: Phi, record: Mapping[str, Any]) -> None:
    """`record` is for people (adapted.json); the policy lies beside it as a checkpoint. Raises UserError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        save_checkpoint(directory, 0, {"phi": phi, "record": dict(record)}, keep=1)
        replace_file(directory / RECORD, json.dumps(record, indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write {directory}: {error.strerror}; give another --out") from error


def load_adapted(directory: Path) -> tuple[Phi, dict[str, Any]]:
    """(phi for the learner's actor, the record). Raises UserError."""
    found = load_latest(directory)
    if found is None:
        raise UserError(f"{directory} holds no adapted policy; make one with metarl adapt RUN_DIR --task TASK")
    state, _ = found
    return state["phi"], state["record"]
