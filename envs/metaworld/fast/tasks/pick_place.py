"""pick-place-v3, pick-place-wall-v3, shelf-place-v3: lift a block and put it somewhere."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import EffortGrasp, Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class PickPlace(Task):
    """Hamacher(grasp, in_place), and 1 + 5 in_place more with the block lifted."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = EffortGrasp(scene, radius=0.015, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        if tcp_to_obj < 0.02 and opened > 0 and obj[2] - 0.01 > self.obj_init[2]:
            reward += 1.0 + 5.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target


class PickPlaceWall(Task):
    """First to a point above the wall, then to the goal."""

    SCALE = (1.0, 1.0, 3.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("objGeom")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.05, xz_reach=0.005, density="low")

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)
        self.midpoint = (self.target[0], 0.77, 0.25)
        self.midpoint_margin = scaled_distance(self.obj_init, self.midpoint, self.SCALE)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        to_midpoint = scaled_distance(obj, self.midpoint, self.SCALE)
        at_midpoint = long_tail(to_midpoint, 0, RADIUS, self.midpoint_margin)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = joint = hamacher(grasped, at_midpoint)
        if tcp_to_obj < 0.02 and opened > 0 and obj[2] - 0.015 > self.obj_init[2]:
            reward = joint + 1.0 + 4.0 * at_midpoint
            if obj[1] > 0.75:
                reward = joint + 1.0 + 4.0 + 3.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target


class ShelfPlace(Task):
    """pick-place without reward for the space in front of and under the shelf."""

    SHELF_HEIGHT = 0.24

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.pressing = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.02, pad_reach=0.05, xz_reach=0.01, density="low")

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def _kept_from_shelf(self, in_place: float, obj: list[float]) -> float:
        """`in_place`, less what the object's place before the shelf costs; 0 under it."""
        x, y, z = obj
        target_x, target_y, _ = self.target
        if not (0.0 < z < self.SHELF_HEIGHT and target_x - 0.15 < x < target_x + 0.15):
            return in_place
        if y > target_y:
            return 0.0
        front = target_y - 3 * RADIUS
        if not front < y < target_y:
            return in_place
        loss = hamacher((y - front) / (3 * RADIUS), (self.SHELF_HEIGHT - z) / self.SHELF_HEIGHT)
        # np.clip makes it a float64 *scalar* there, which lifts a float32 reward to float64
        return np.float64(min(max(in_place - loss, 0.0), 1.0))

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        in_place = self._kept_from_shelf(in_place, obj)
        if tcp_to_obj < 0.025 and opened > 0 and obj[2] - 0.01 > self.obj_init[2]:
            reward += 1.0 + 5.0 * in_place
        if to_target < RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target
