"""push-v3, push-wall-v3, push-back-v3: move a puck along the table."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp, PinchGrasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class Push(Task):
    """2 grasp, and 1 + 2 grasp + 5 in_place more with the puck in hand."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.05, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = 2 * grasped
        if tcp_to_obj < 0.02 and opened > 0:
            reward += 1.0 + reward + 5.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= RADIUS, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target


class PushWall(Task):
    """First to a point beside the wall, then to the goal."""

    SCALE = (3.0, 1.0, 1.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("objGeom")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.05, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        midpoint = (-0.05, 0.77, obj[2])  # at the puck's present height, so that its margin moves too
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        grasped = self.grasp(obj, tcp, effort)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        reward = 2 * grasped
        if tcp_to_obj < 0.02 and opened > 0:
            if obj[1] > 0.75:
                reward = 2 * grasped + 1.0 + 4.0 + 3.0 * in_place
            else:
                margin = scaled_distance(self.obj_init, midpoint, self.SCALE)
                to_midpoint = scaled_distance(obj, midpoint, self.SCALE)
                reward = 2.0 * grasped + 1.0 + 4.0 * long_tail(to_midpoint, 0, RADIUS, margin)
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target


class PushBack(Task):
    """Pull the puck towards the robot."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("objGeom")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = PinchGrasp(scene, radius=0.007, pinch=0.003, xz_reach=0.01)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp)
        reward = hamacher(grasped, in_place)
        if tcp_to_obj < 0.01 and 0 < opened < 0.55 and self.margin - to_target > 0.01:
            reward += 1.0 + 5.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target
