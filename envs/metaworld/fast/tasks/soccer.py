"""soccer-v3: push a ball into a goal."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import PinchGrasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class Soccer(Task):
    """3 grasp + 6.5 in_place."""

    RADIUS = 0.07
    SCALE = (3.0, 1.0, 1.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("soccer_ball")
        self.rotation = scene.body_quat_xyzw("soccer_ball")
        self.pressing = scene.pressing("objGeom")
        self.grasp = PinchGrasp(scene, radius=0.013, pinch=0.01, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        scaled_to_target = scaled_distance(obj, self.target, self.SCALE)
        # the margin is how far the ball has come, not how far it had to go: 0 at the start
        margin = scaled_distance(obj, self.obj_init, self.SCALE)
        in_place = long_tail(scaled_to_target, 0, self.RADIUS, margin)
        goal_line = self.target[1] - 0.1
        if obj[1] > goal_line and abs(obj[0] - self.target[0]) > 0.1:  # past the goal, beside it
            in_place = min(max(in_place - 2 * ((obj[1] - goal_line) / (1 - goal_line)), 0.0), 1.0)
        grasped = self.grasp(obj, tcp)
        reward = 10.0 if scaled_to_target < self.RADIUS else 3 * grasped + 6.5 * in_place
        to_target = distance(obj, self.target)
        lifted = opened > 0 and obj[2] - 0.02 > self.obj_init[2]
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, lifted, grasped, in_place, to_target
