"""Which held-out episodes a run was scored on, by their SHA-256: records keep that, and runs the episodes themselves.

They follow from the settings and the data: `metarl fewshot episodes NAME` makes those of a record again.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from metarl.errors import UserError


def packed_episodes(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By suite; version 0.1 kept them with each suite's scores."""
    if "episodes" in policy:
        return policy["episodes"]
    suites = policy.get("suites", {})
    return {suite: scores["episodes"] for suite, scores in suites.items() if "episodes" in scores}


def digest(episodes: dict[str, Any]) -> str:
    """SHA-256 of packed episodes, or the one in a reference to them, which is what a record holds."""
    if "sha256" not in episodes:
        return hashlib.sha256(json.dumps(episodes, sort_keys=True).encode()).hexdigest()
    name = episodes["sha256"]
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", name):
        raise UserError(f"a record refers to the episodes {name!r:.100}, which is no SHA-256; restore the record")
    return name
