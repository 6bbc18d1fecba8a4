"""pick-out-of-hole-v3, hand-insert-v3."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class PickOutOfHole(Task):
    """Hamacher(grasp, in_place), and 1 + 5 Hamacher(in_place, above the hole's walls) more once lifted."""

    AROUND = 0.03
    """Radius of the funnel over the hole, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.body_quat_wxyz("obj")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.02, xz_reach=0.03, full_effort=0.1)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        to_target = distance(obj, self.target)
        tcp_to_obj = distance(obj, tcp)
        radius = math.sqrt((tcp[0] - self.obj_init[0]) ** 2 + (tcp[1] - self.obj_init[1]) ** 2)
        floor = 0.0 if radius <= self.AROUND else 0.015 * math.log(radius - self.AROUND) + 0.15
        above_floor = 1.0 if tcp[2] >= floor else long_tail(floor - tcp[2], 0.0, 0.01, 0.02)
        grasped = self.grasp(obj, tcp, effort)
        in_place = long_tail(to_target, 0, 0.02, self.margin)
        reward = hamacher(grasped, in_place)
        held = tcp_to_obj < 0.04 and obj[2] - 0.02 > self.obj_init[2] and opened >= 0.33
        if held:
            reward += 1.0 + 5.0 * hamacher(in_place, above_floor)
        if to_target < RADIUS:
            reward = 10.0
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, held, grasped, in_place, to_target


class HandInsert(Task):
    """Hamacher(grasp, in_place), and 1 + 7 in_place more with the block in hand."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.body_quat_wxyz("obj")
        self.pressing = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.05, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        to_target = distance(obj, self.target)
        tcp_to_obj = distance(obj, tcp)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        if tcp_to_obj < 0.02 and opened > 0:
            reward += 1.0 + 7.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.05, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target
