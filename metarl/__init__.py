"""metarl: a meta-learning core shared by meta-RL for robots and supervised few-shot learning."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metarl.deploy.agent import Agent as Agent
    from metarl.deploy.agent import load as load

try:
    __version__ = version("metarl-suite")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0+checkout"

__all__ = ["Agent", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """At first use: torch alone takes a second to import, and `metarl --version` needs nothing of it."""
    if name in ("Agent", "load"):
        from metarl.deploy import agent

        return getattr(agent, name)
    raise AttributeError(f"module 'metarl' has no attribute {name!r}")
