"""assembly-v3, disassemble-v3: a ring with a handle, put on a peg or taken off it."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

HALF_HANDLE = 0.01
UPRIGHT = (0.707, 0.0, 0.0, 0.707)


def levelness(quat: list[float], ideal: tuple[float, ...], reach: float) -> float:
    """max(1 - |quat - ideal| / reach, 0)."""
    return max(1.0 - math.dist(quat, ideal) / reach, 0.0)


class Nut(Task):
    """(2 grasp + 6 in_place) x level, 10 on success."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("RoundNut-8")
        self.rotation = scene.body_quat_wxyz("RoundNut")
        self.centre = scene.site("RoundNut")
        self.grasp = self.make_grasp(scene)

    @abstractmethod
    def make_grasp(self, scene: Scene) -> Grasp:
        """The grasp formula."""

    @abstractmethod
    def place(self, centre: list[float], handle: list[float]) -> tuple[float, bool]:
        """(in_place, success) for the ring's centre and its handle."""

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hand_x, wrench = frame[0], frame[4:7]
        level = levelness(frame[7:11], UPRIGHT, 0.4)
        # anywhere along the handle is as good
        x = hand_x if abs(wrench[0] - hand_x) < HALF_HANDLE else wrench[0]
        grasped = self.grasp((x, wrench[1], wrench[2]), self.scene.tcp(), effort)
        in_place, success = self.place(self.centre(), wrench)
        reward = 10.0 if success else (2.0 * grasped + 6.0 * in_place) * level
        return reward, success, level, grasped >= 0.5, grasped, in_place, 0.0


class Assembly(Nut):
    """Put the ring on the peg."""

    def make_grasp(self, scene: Scene) -> Grasp:
        return Grasp(scene, radius=0.015, pad_reach=0.02, xz_reach=0.01, density="medium")

    def place(self, centre: list[float], handle: list[float]) -> tuple[float, bool]:
        x, y, z = centre
        target_x, target_y, target_z = self.target
        radius = math.sqrt((target_x - x) ** 2 + (target_y - y) ** 2)
        success = radius < 0.02 and target_z - z > 0.0
        threshold = 0.02 if success else 0.01
        # a funnel: high above the table away from the peg, down to it over the peg
        height = 0.02 * math.log(radius - threshold) + 0.2 if radius > threshold else 0.0
        lifted = z > 0.02 or radius < threshold
        error = scaled_distance((target_x, target_y, height), centre, (1.0, 1.0, 3.0))
        return 0.1 * lifted + 0.9 * long_tail(error, 0, 0.02, 0.4), success


class Disassemble(Nut):
    """Lift the ring off the peg."""

    HAND_RESET_VARIES = True

    def make_grasp(self, scene: Scene) -> Grasp:
        return Grasp(scene, radius=0.015, pad_reach=0.02, xz_reach=0.01)

    def place(self, centre: list[float], handle: list[float]) -> tuple[float, bool]:
        x, y, z = self.target
        error = distance((x, y, z + 0.1), centre)
        return 0.1 * (centre[2] > 0.02) + 0.9 * long_tail(error, 0, 0.02, 0.2), handle[2] > z
