"""reach-v3, reach-wall-v3: bring the point between the fingers to the goal."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class Reach(Task):
    """10 x long_tail(|tcp - goal|); the puck is only scenery."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.geom_quat_xyzw("objGeom")

    def prepare(self, facts: Facts) -> None:
        self.margin = distance(self.hand_init, self.target)

    def in_place(self) -> tuple[float, float]:
        """Distance to the goal (metres) and its shaped value."""
        to_target = distance(self.scene.tcp(), self.target)
        return to_target, long_tail(to_target, 0, RADIUS, self.margin)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        to_target, in_place = self.in_place()
        # near_object and grasp_reward really are the distance in Meta-World
        return 10 * in_place, to_target <= RADIUS, to_target, 1.0, to_target, in_place, to_target


class ReachWall(Reach):
    """The same reward behind a wall; the info fields differ."""

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        to_target, in_place = self.in_place()
        return 10 * in_place, to_target <= RADIUS, 0.0, 0.0, 0.0, in_place, to_target
