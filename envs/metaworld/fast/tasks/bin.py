"""bin-picking-v3: from one bin into the other."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class BinPicking(Task):
    """Hamacher(grasp, in_place), and 1 + 5 Hamacher(above the bins' walls, in_place) more once lifted."""

    RADIUS = 0.05
    AROUND = 0.03
    """Radius of the funnels over the block's start and the goal, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("obj")
        self.rotation = scene.body_quat_wxyz("obj")
        self.grasp = Grasp(scene, radius=0.015, pad_reach=0.05, xz_reach=0.01, full_effort=0.7)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin: float | None = None  # the first step's distance, not the reset's

    def _floor(self, hand: list[float], below: list[float]) -> float:
        radius = math.sqrt((hand[0] - below[0]) ** 2 + (hand[1] - below[1]) ** 2)
        return 0.02 * math.log(radius - self.AROUND) + 0.2 if radius > self.AROUND else 0.0

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hand, opened, obj = frame[:3], frame[3], frame[4:7]
        to_target = distance(obj, self.target)
        if self.margin is None:
            self.margin = to_target
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        floor = min(self._floor(hand, self.obj_init), self._floor(hand, self.target))
        above_floor = 1.0 if hand[2] >= floor else long_tail(floor - hand[2], 0.0, 0.01, 0.05)
        grasped = self.grasp(obj, self.scene.tcp(), effort)
        reward = hamacher(grasped, in_place)
        near = distance(obj, hand) < 0.04
        held = near and obj[2] - 0.02 > self.obj_init[2] and opened >= 0.43
        if held:
            reward += 1.0 + 5.0 * hamacher(above_floor, in_place)
        if to_target < self.RADIUS:
            reward = 10.0
        return reward, to_target <= 0.05, near, held, grasped, in_place, to_target
