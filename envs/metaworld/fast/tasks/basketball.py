"""basketball-v3: drop a ball through a hoop."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class Basketball(Task):
    """Hamacher(grasp, in_place), and 1 + 5 in_place more with the ball lifted.

    Meta-World's goal is a live view of the goal site's position. Its resets also write that world position
    into the site's place in its body, without effect: the site was compiled at its body's frame (sameframe).
    """

    RADIUS = 0.08
    HOOP_HEIGHT = 0.3
    SCALE = (1.0, 1.0, 2.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("bsktball")
        self.rotation = scene.body_quat_wxyz("bsktball")
        self.grasp = Grasp(scene, radius=0.025, pad_reach=0.06, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.hoop = (self.target[0], self.target[1], self.HOOP_HEIGHT)
        self.margin = scaled_distance(self.obj_init, self.hoop, self.SCALE)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        to_target = scaled_distance(obj, self.hoop, self.SCALE)
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        tcp_to_obj = distance(obj, tcp)
        carried = tcp_to_obj < 0.035 and opened > 0 and obj[2] - 0.01 > self.obj_init[2]
        grasped = 1.0 if carried else self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        if carried:
            reward += 1.0 + 5.0 * in_place
        if to_target < self.RADIUS:
            reward = 10.0
        lifted = opened > 0 and obj[2] - 0.03 > self.obj_init[2]
        return reward, to_target <= self.RADIUS, tcp_to_obj <= 0.05, lifted, grasped, in_place, to_target
