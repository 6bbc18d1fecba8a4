"""From where a MuJoCo scene is looked at; told apart from the picture of it, which needs a GL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class View(NamedTuple):
    """A free camera, as MuJoCo describes it."""

    lookat: Sequence[float]
    """Metres, (x, y, z)."""
    distance: float
    """Metres from there."""
    azimuth: float
    """Degrees; 90 looks along y."""
    elevation: float
    """Degrees; negative looks down."""
