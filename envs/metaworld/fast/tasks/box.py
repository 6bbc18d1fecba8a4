"""box-close-v3: put a lid on a box."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.grasping import squeeze
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task
from metarl.envs.metaworld.fast.tasks.nut import UPRIGHT, levelness


class BoxClose(Task):
    """(2 Hamacher(squeeze, hand at the lid) + 8 lid's place) x level."""

    HAND_RESET_VARIES = True
    AROUND_LID = 0.02
    """Radius of the funnel over the lid's handle, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("top_link")
        self.rotation = scene.body_quat_wxyz("top_link")

    def prepare(self, facts: Facts) -> None:
        pass

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hand = frame[:3]
        x, y, z = frame[4], frame[5], frame[6] + 0.02
        radius = math.sqrt((hand[0] - x) ** 2 + (hand[1] - y) ** 2)
        floor = 0.0 if radius <= self.AROUND_LID else 0.04 * math.log(radius - self.AROUND_LID) + 0.4
        above_floor = 1.0 if hand[2] >= floor else long_tail(floor - hand[2], 0.0, 0.01, floor / 2.0)
        ready = hamacher(above_floor, long_tail(distance(hand, (x, y, z)), 0, 0.02, 0.5))
        error = scaled_distance(self.target, (x, y, z), (1.0, 1.0, 3.0))
        lifted = 0.2 * (z > 0.04) + 0.8 * long_tail(error, 0, 0.05, 0.25)
        grab = squeeze(effort)
        success = distance(frame[4:7], self.target) < 0.08
        reward = 10.0 if success else 2.0 * hamacher(grab, ready) + 8.0 * lifted
        level = levelness(frame[7:11], UPRIGHT, 0.2)
        return reward * level, success, ready, grab >= 0.5, grab, lifted, 0.0
