"""Versions of what the numbers depend on, from package metadata: importing mujoco takes half a second."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import metarl

DISTRIBUTIONS = {
    "torch": "torch",
    "numpy": "numpy",
    "gymnasium": "gymnasium",
    "mujoco": "mujoco",
    "metaworld": "metaworld",
    "metarl": "metarl-suite",
}


def library_versions() -> dict[str, str | None]:
    """Python's version and each library's; None for one that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            versions[name] = version(distribution)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def environment() -> dict[str, Any]:
    """What the numbers of a run depend on besides its config."""
    return {
        **library_versions(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        **_git_state(Path(metarl.__file__).resolve().parent.parent),
    }


def _git_state(root: Path) -> dict[str, Any]:
    """Commit, and whether files differ from it; None where the code does not lie in a checkout of its own."""
    if not (root / ".git").exists():  # an installed copy may lie inside some other project's checkout
        return {"git_commit": None, "git_dirty": None}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
