"""sweep-v3, sweep-into-v3: sweep a block off the table or into a hole."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import PinchGrasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class Sweep(Task):
    """2 grasp + 6 Hamacher(grasp, in_place)."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.body_quat_wxyz("obj")
        self.pressing = scene.pressing("objGeom")
        self.grasp = PinchGrasp(scene, radius=0.02, pinch=0.01, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)

    def goal_at(self, height: float) -> tuple[float, float, float]:
        """The goal for a block at `height`, metres."""
        x, y, z = self.target
        return x, y, z

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        goal = self.goal_at(obj[2])
        to_target = distance(obj, goal)
        tcp_to_obj = distance(obj, tcp)
        in_place = long_tail(to_target, 0, RADIUS, distance(self.obj_init, goal))
        grasped = self.grasp(obj, tcp)
        reward = 2 * grasped + 6 * hamacher(grasped, in_place)
        if to_target < RADIUS:
            reward = 10.0
        return reward, to_target <= 0.05, tcp_to_obj <= 0.03, opened > 0, grasped, in_place, to_target


class SweepInto(Sweep):
    """The same to a hole, whose depth does not count."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.grasp = PinchGrasp(scene, radius=0.02, pinch=0.005, xz_reach=0.01)

    def goal_at(self, height: float) -> tuple[float, float, float]:
        """The hole at the block's own height, metres."""
        return self.target[0], self.target[1], height
