"""Settings of an experiment as somebody published them: `metarl train EXPERIMENT --preset NAME`."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from metarl.errors import UserError, nearest


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An experiment file lists its presets by name in `PRESETS`."""

    config: Any
    """Of the type that the experiment's config() returns."""
    source: str
    """Whose settings, and where they stand."""
    deviations: tuple[str, ...] = ()
    """Where ours differs from the source, and why."""


def presets_of(module: ModuleType) -> dict[str, Preset]:
    return vars(module).get("PRESETS", {})


def find_preset(module: ModuleType, name: str) -> Preset:
    """Raises UserError with the nearest name."""
    presets = presets_of(module)
    if name not in presets:
        known = f"it has {', '.join(presets)}" if presets else "it has none"
        raise UserError(f"unknown preset {name!r} of {module.__name__}{nearest(name, presets)}; {known}")
    return presets[name]
