"""hammer-v3: drive a nail with a hammer."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task
from metarl.envs.metaworld.fast.tasks.nut import levelness

HALF_HANDLE = 0.07


class Hammer(Task):
    """(2 grasp + 6 in_place) x level; 10 once the nail is in and the rest is above 5."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("hammer")
        self.rotation = scene.body_quat_wxyz("hammer")
        self.nail_position = scene.body("nail_link")
        self.nail_rotation = scene.body_quat_wxyz("nail_link")
        self.nail_depth = scene.joint("NailSlideJoint")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.02, xz_reach=0.01)

    def objects(self) -> list[float]:
        return self.position() + self.rotation() + self.nail_position() + self.nail_rotation()

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hand_x = frame[0]
        x, y, z = frame[4:7]
        level = levelness(frame[7:11], (1.0, 0.0, 0.0, 0.0), 0.4)
        grip_x = hand_x if abs(x - hand_x) < HALF_HANDLE else x
        grasped = self.grasp((grip_x, y, z), self.scene.tcp(), effort)
        error = distance(self.target, (x + 0.16, y + 0.06, z))
        in_place = 0.1 * (z > 0.02) + 0.9 * long_tail(error, 0, 0.02, 0.2)
        reward = (2.0 * grasped + 6.0 * in_place) * level
        success = self.nail_depth() > 0.09
        if success and reward > 5.0:
            reward = 10.0
        return reward, success, level, grasped >= 0.5, grasped, in_place, 0.0
