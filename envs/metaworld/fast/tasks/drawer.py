"""drawer-open-v3, drawer-close-v3."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene, constant, shifted
from metarl.envs.metaworld.fast.shaping import distance, gaussian, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class DrawerOpen(Task):
    """5 (hand at the handle + drawer's place)."""

    TRAVEL = 0.2
    """From closed to open, metres."""
    SCALE = (3.0, 3.0, 1.0)
    """x and y count more, so that the hand may come down on the handle from above."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = shifted(scene.body("drawer_link"), 0.0, -0.16, 0.0)
        self.rotation = scene.body_quat_wxyz("drawer_link")

    def prepare(self, facts: Facts) -> None:
        x, y, z = self.target
        self.hand_margin = scaled_distance((x, y + self.TRAVEL, z), self.init_tcp, self.SCALE)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hand, opened, handle = frame[:3], frame[3], frame[4:7]
        to_target = distance(handle, self.target)
        opening = long_tail(to_target, 0, 0.02, self.TRAVEL)
        caging = long_tail(scaled_distance(handle, hand, self.SCALE), 0, 0.01, self.hand_margin)
        near = distance(handle, hand) <= 0.03
        return (caging + opening) * 5.0, to_target <= 0.03, near, opened > 0, caging, opening, to_target


class DrawerClose(Task):
    """10 Hamacher(Hamacher(reach, gripper closing), in_place)."""

    RADIUS = 0.05
    HANDLE_REACH = 0.005

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = shifted(scene.body("drawer_link"), 0.0, -0.16, 0.05)
        self.rotation = constant(0.0, 0.0, 0.0, 0.0)

    def prepare(self, facts: Facts) -> None:
        self.margin = abs(distance(self.obj_init, self.target) - self.RADIUS)
        self.hand_margin = abs(distance(self.obj_init, self.init_tcp) - self.HANDLE_REACH)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        obj = frame[4:7]
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        tcp_to_obj = distance(obj, self.scene.tcp())
        reach = gaussian(tcp_to_obj, 0, self.HANDLE_REACH, self.hand_margin)
        reach = hamacher(reach, min(max(0, effort), 1))
        success = to_target <= self.RADIUS + 0.015
        reward = 1.0 if success else hamacher(reach, in_place)
        return reward * 10, success, tcp_to_obj <= 0.01, 1.0, reach, in_place, to_target
