"""Pictures of a MuJoCo scene from a camera of one's own, with the goal in it as a ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer
from numpy.typing import NDArray

from metarl.envs.mujoco_calls import untyped
from metarl.envs.view import View

_GOAL_COLOUR = np.array([0.95, 0.75, 0.1, 0.6], np.float32)


class _NoContext:
    def free(self) -> None:
        """Nothing."""


class ScenePicture:
    """Renders without a screen, by the GL that MUJOCO_GL names; close it after use."""

    def __init__(self, model: Any, data: Any, size: int, camera: View | str) -> None:
        """`camera` is a view, or the name of one that the model has."""
        buffer = model.vis.global_
        buffer.offwidth, buffer.offheight = max(size, buffer.offwidth), max(size, buffer.offheight)
        viewer: Any = OffScreenViewer.__new__(OffScreenViewer)
        viewer.opengl_context = _NoContext()  # where there is no GL, it frees what it never got, and prints a traceback
        viewer.__init__(model, data, size, size)
        self._viewer = viewer
        self._camera_id = -1 if isinstance(camera, View) else model.camera(camera).id
        if isinstance(camera, View):
            for name, value in camera._asdict().items():
                setattr(self._viewer.cam, name, value)

    def take(self, goal: Sequence[float] | NDArray | None = None, radius: float = 0.0) -> NDArray[np.uint8]:
        """(size, size, 3) of this moment, with a ball of `radius` metres at the goal (x, y, z)."""
        # gymnasium draws in whichever GL context is current, that of the viewer made last: of several, each in its own
        self._viewer.make_context_current()
        if goal is not None:
            ball = untyped.mjtGeom.mjGEOM_SPHERE
            self._viewer.add_marker(type=ball, size=np.full(3, radius), pos=np.asarray(goal, float), rgba=_GOAL_COLOUR)
        frame: Any = self._viewer.render("rgb_array", self._camera_id)
        return np.ascontiguousarray(frame)

    def close(self) -> None:
        self._viewer.close()
