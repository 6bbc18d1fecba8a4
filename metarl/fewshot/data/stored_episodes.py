"""The held-out episodes of stored runs: written once, named by their digest, however many records refer to them.

All methods of a data set are scored on the same episodes, which are ten times larger than the scores.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.files import inside, read_plain, replace_file

DIRECTORY = "episodes"
"""Below the results."""
MAX_BYTES = 256 * 2**20


def shared_episodes(policy: dict[str, Any], results: Path) -> dict[str, Any]:
    """{"episodes": ...} of a policy with digests in place of each suite's packed episodes, which go into
    RESULTS/episodes; {} of a policy without."""
    packed = packed_episodes(policy)
    if not packed:
        return {}
    directory = inside(results, DIRECTORY)
    directory.mkdir(parents=True, exist_ok=True)
    return {"episodes": {suite: _store(episodes, directory) for suite, episodes in packed.items()}}


def packed_episodes(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By suite; version 0.1 kept them with each suite's scores."""
    if "episodes" in policy:
        return policy["episodes"]
    suites = policy.get("suites", {})
    return {suite: scores["episodes"] for suite, scores in suites.items() if "episodes" in scores}


def stored_episodes(reference: dict[str, str], results: Path) -> dict[str, Any]:
    """The packed episodes that a record refers to, for `unpack_episodes`.

    Raises UserError if their file is gone or is not what the record was made with.
    """
    name = digest(reference)
    path = inside(results, DIRECTORY, f"{name}.json")
    if not path.is_file():
        raise UserError(f"{path} is missing, and the record's episodes with it; restore it from the repository")
    data = read_plain(path, max_bytes=MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != name:
        raise UserError(f"{path} was changed, its SHA-256 is no longer its name; restore it from the repository")
    return json.loads(data)


def digest(episodes: dict[str, Any]) -> str:
    """SHA-256 of packed episodes, or the one in a reference to them: older records hold the episodes themselves."""
    if "sha256" not in episodes:
        return hashlib.sha256(_encoded(episodes)).hexdigest()
    name = episodes["sha256"]
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", name):  # it becomes the name of a file
        raise UserError(f"a record refers to the episodes {name!r:.100}, which is no SHA-256; restore the record")
    return name


def _encoded(packed: dict[str, Any]) -> bytes:
    return json.dumps(packed, sort_keys=True).encode()


def _store(packed: dict[str, Any], directory: Path) -> dict[str, str]:
    name = digest(packed)
    path = inside(directory, f"{name}.json")
    if not path.is_file():
        replace_file(path, _encoded(packed))
    return {"sha256": name}
