"""Versions of what the numbers depend on, from package metadata: importing mujoco takes half a second."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

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
