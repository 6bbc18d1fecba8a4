"""How well the gripper cages and grips an object: Meta-World's three formulas for it.

Each cages in y (the object between the pads) and in the x-z plane (the tool point near the object), joined by
a Hamacher product; they differ in the margins and in what "gripping" means.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import Point, distance, hamacher, long_tail


def squeeze(effort: np.float32) -> float:
    """(clip(effort, -1, 1) + 1) / 2, in float32 like the action."""
    return float((min(max(effort, np.float32(-1)), np.float32(1)) + 1.0) / 2.0)


def _xz_distance(a: Point, b: Point) -> float:
    dx, dz = a[0] - b[0], a[2] - b[2]
    return math.sqrt(dx * dx + dz * dz)


class Grasp:
    """The formula of most tasks: the y margin of each pad is its distance from the object's *initial* place.

    `density` high adds the caging itself, medium adds a reward for reaching, low neither.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        radius: float,
        pad_reach: float,
        xz_reach: float,
        full_effort: float = 1.0,
        density: Literal["low", "medium", "high"] = "high",
        tcp_reach: float = 0.01,
    ) -> None:
        self._scene = scene
        self._radius = radius
        self._pad_reach = pad_reach
        self._xz_reach = xz_reach
        self._full_effort = full_effort
        self._density = density
        self._tcp_reach = tcp_reach

    def begin(self, obj_init: Point, init_tcp: Point) -> None:
        """The margins of an episode."""
        self._init_y = obj_init[1]
        self._xz_margin = _xz_distance(obj_init, init_tcp) - self._xz_reach
        self._tcp_margin = abs(distance(obj_init, init_tcp) - self._tcp_reach)

    def _pad(self, y: float, obj_y: float) -> float:
        reach = self._pad_reach
        return long_tail(abs(y - obj_y), self._radius, reach, abs(abs(y - self._init_y) - reach))

    def __call__(self, obj: Point, tcp: Point, effort: np.float32) -> float:
        """In [0, 1]; a np.float32 while the gripper closes on a caged object."""
        scene, full = self._scene, self._full_effort
        caging_y = hamacher(self._pad(scene.left_pad()[1], obj[1]), self._pad(scene.right_pad()[1], obj[1]))
        caging = hamacher(caging_y, long_tail(_xz_distance(tcp, obj), 0, self._xz_reach, self._xz_margin))
        gripping = min(max(0, effort), full) / full if caging > 0.97 else 0.0
        both = hamacher(caging, gripping)
        if self._density == "high":
            return (both + caging) / 2
        if self._density == "medium":
            return (both + long_tail(distance(obj, tcp), 0, self._tcp_reach, self._tcp_margin)) / 2
        return both


class _PadGrasp:
    """The y margins of the next two: pad to object, less the pads' reach.

    Meta-World means the pads' *initial* places, but `init_left_pad` and `init_right_pad` are live views into
    MuJoCo's data, so that they are the present ones.
    """

    PAD_REACH = 0.05

    def __init__(self, scene: Scene, *, radius: float, xz_reach: float) -> None:
        self._scene = scene
        self._radius = radius
        self._xz_reach = xz_reach

    def begin(self, obj_init: Point, init_tcp: Point) -> None:
        """The margin of an episode."""
        self._xz_margin = _xz_distance(obj_init, init_tcp) - self._xz_reach

    def _pads(self, obj_y: float) -> tuple[float, float, float, float]:
        """(left pad's y beyond the object, its margin, right pad's, its margin), metres."""
        left = self._scene.left_pad()[1] - obj_y
        right = obj_y - self._scene.right_pad()[1]
        return left, abs(abs(left) - self.PAD_REACH), right, abs(abs(right) - self.PAD_REACH)

    def _both_within(self, pads: tuple[float, float, float, float], reach: float) -> float:
        left, left_margin, right, right_margin = pads
        left_within = long_tail(left, self._radius, reach, left_margin)
        return hamacher(left_within, long_tail(right, self._radius, reach, right_margin))

    def _caging(self, pads: tuple[float, float, float, float], obj: Point, tcp: Point) -> float:
        caging_xz = long_tail(_xz_distance(tcp, obj), 0, self._xz_reach, self._xz_margin)
        return hamacher(self._both_within(pads, self.PAD_REACH), caging_xz)


class EffortGrasp(_PadGrasp):
    """pick-place's: gripping is the gripper's effort."""

    def __call__(self, obj: Point, tcp: Point, effort: np.float32) -> float:
        """In [0, 1]; a np.float32 while the gripper closes on a caged object."""
        caging = self._caging(self._pads(obj[1]), obj, tcp)
        gripping = min(max(0, effort), 1) if caging > 0.97 else 0.0
        return (hamacher(caging, gripping) + caging) / 2


class PinchGrasp(_PadGrasp):
    """That of sweeping, soccer and push-back: gripping is how close the pads are to the object's sides."""

    def __init__(self, scene: Scene, *, radius: float, pinch: float, xz_reach: float) -> None:
        super().__init__(scene, radius=radius, xz_reach=xz_reach)
        self._pinch = radius + pinch

    def __call__(self, obj: Point, tcp: Point) -> float:
        """In [0, 1]."""
        pads = self._pads(obj[1])
        caging = self._caging(pads, obj, tcp)
        gripping = self._both_within(pads, self._pinch) if caging > 0.95 else 0.0
        return (caging + gripping) / 2
