"""door-open-v3, door-close-v3."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.grasping import squeeze
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, gaussian, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class DoorOpen(Task):
    """2 Hamacher(hand at the handle, squeeze) + 8 (door's angle)."""

    AROUND_HANDLE = 0.12
    """Radius of the funnel over the handle that keeps the hand above it until it is there, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("handle")
        self.rotation = scene.geom_quat_xyzw("handle")
        self.angle = scene.joint("doorjoint")

    def prepare(self, facts: Facts) -> None:
        pass

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hx, hy, hz = frame[:3]
        x, y, z = frame[4] - 0.05, frame[5], frame[6]
        around = self.AROUND_HANDLE
        radius = math.sqrt((hx - x) ** 2 + (hy - y) ** 2)
        floor = 0.0 if radius <= around else 0.04 * math.log(radius - around) + 0.4
        above_floor = 1.0 if hz >= floor else long_tail(floor - hz, 0.0, 0.01, floor / 2.0)
        to_handle = distance((hx, hy, hz), (x + 0.05, y + 0.03, z - 0.01))
        ready = hamacher(above_floor, long_tail(to_handle, 0, around / 2.0, 0.5))
        angle = self.angle()
        remaining = math.pi / 2.0 + math.pi / 6 + angle
        opened = 0.2 * (angle < -math.pi / 90.0) + 0.8 * long_tail(remaining, 0, 0.5, math.pi / 3.0)
        grab = squeeze(effort)
        reward = 2.0 * hamacher(ready, grab) + 8.0 * opened
        success = abs(frame[4] - self.target[0]) <= 0.08
        if success:
            reward = 10.0
        return reward, success, ready, grab >= 0.5, grab, opened, 0.0


class DoorClose(Task):
    """3 gaussian(|tcp - goal|) + 6 gaussian(|handle - goal|)."""

    RADIUS = 0.05

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("handle")
        self.rotation = scene.geom_quat_xyzw("handle")

    def prepare(self, facts: Facts) -> None:
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        obj = frame[4:7]
        to_target = distance(obj, self.target)
        in_place = gaussian(to_target, 0, self.RADIUS, self.margin)
        hand_margin = distance(self.hand_init, obj) + 0.1
        hand_in_place = gaussian(distance(self.scene.tcp(), self.target), 0, 0.25 * self.RADIUS, hand_margin)
        reward = 3 * hand_in_place + 6 * in_place
        if to_target < self.RADIUS:
            reward = 10.0
        return reward, to_target <= 0.08, 0.0, 1.0, 1.0, hand_in_place, to_target
