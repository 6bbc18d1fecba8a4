"""Which GL MuJoCo is to draw with: what MUJOCO_GL may say."""

from __future__ import annotations

import os

from metarl.errors import UserError, nearest

DRAWS = ("egl", "osmesa", "glfw")
OTHERS = ("glx", "wgl", "cgl", "enable", "enabled", "on", "true", "1")
OFF = ("disable", "disabled", "off", "false", "0")


def check_gl() -> None:
    """Raises UserError for a MUJOCO_GL that MuJoCo refuses, with a traceback, wherever it is imported."""
    given = os.environ.get("MUJOCO_GL", "").lower().strip()
    if given and given not in (*DRAWS, *OTHERS, *OFF):
        raise UserError(
            f"MUJOCO_GL={given!r:.60}{nearest(given, DRAWS)} is no GL that MuJoCo knows; set it to {', '.join(DRAWS)} "
            "or disabled, or unset it"
        )
