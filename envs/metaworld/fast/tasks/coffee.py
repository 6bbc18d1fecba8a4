"""coffee-pull-v3, coffee-push-v3: move a mug from or to a coffee machine."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class Mug(Task):
    """Hamacher(grasp, in_place), and 1 + 5 in_place more at the mug; pull and push differ in their goals."""

    RADIUS = 0.05
    SCALE = (2.0, 2.0, 1.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.geom_quat_xyzw("mug")
        self.pressing = scene.pressing("mug")
        self.grasp = Grasp(
            scene,
            radius=0.02,
            pad_reach=0.05,
            xz_reach=0.05,
            full_effort=0.7,
            density="medium",
            tcp_reach=0.04,
        )

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = scaled_distance(self.obj_init, self.target, self.SCALE)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        scaled_to_target = scaled_distance(obj, self.target, self.SCALE)
        to_target = distance(obj, self.target)
        tcp_to_obj = distance(obj, tcp)
        in_place = long_tail(scaled_to_target, 0, self.RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        if tcp_to_obj < 0.04 and opened > 0:
            reward += 1.0 + 5.0 * in_place
        if scaled_to_target < self.RADIUS:
            reward = 10.0
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, opened > 0, grasped, in_place, to_target
