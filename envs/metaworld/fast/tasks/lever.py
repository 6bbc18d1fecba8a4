"""lever-pull-v3: swing a lever up from below."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class LeverPull(Task):
    """10 Hamacher(hand's shoulder under the lever, lever's place)."""

    HAND_RESET_VARIES = True
    FACTS = ("_lever_pos_init",)
    SCALE = (4.0, 1.0, 4.0)
    SHOULDER = (0.0, 0.055, 0.07)
    """From the hand to the part of it that lifts, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("leverStart")
        self.rotation = scene.geom_quat_xyzw("objGeom")
        self.angle = scene.joint("LeverAxis")

    def prepare(self, facts: Facts) -> None:
        lever = facts["_lever_pos_init"]
        self.hand_margin = scaled_distance(self._shoulder(self.init_tcp), lever, self.SCALE)
        self.margin = distance(lever, self.target)

    def _shoulder(self, hand: list[float]) -> tuple[float, float, float]:
        return hand[0] + self.SHOULDER[0], hand[1] + self.SHOULDER[1], hand[2] + self.SHOULDER[2]

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        lever = frame[4:7]
        to_lever = scaled_distance(self._shoulder(frame[:3]), lever, self.SCALE)
        ready = long_tail(to_lever, 0, 0.02, self.hand_margin)
        angle_error = abs(-self.angle() - math.pi / 2.0)
        engaged = long_tail(angle_error, 0, math.pi / 48.0, math.pi / 2.0 - math.pi / 12.0)
        in_place = long_tail(distance(lever, self.target), 0, 0.04, self.margin)
        reward = 10.0 * hamacher(ready, in_place)
        return reward, angle_error <= math.pi / 24, to_lever < 0.03, ready > 0.9, ready, engaged, to_lever
