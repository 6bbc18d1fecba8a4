"""dial-turn-v3."""

from __future__ import annotations

import math

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, gaussian, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class DialTurn(Task):
    """10 Hamacher(Hamacher(reach, gripper closing), in_place)."""

    FACTS = ("dial_push_position",)
    RADIUS = 0.07
    DIAL_RADIUS = 0.05
    DIAL_REACH = 0.005

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.centre = scene.body("dial")
        self.angle = scene.joint("knob_Joint_1")
        self.position = self._handle
        self.rotation = scene.body_quat_wxyz("dial")

    def _handle(self) -> list[float]:
        x, y, z = self.centre()
        angle = self.angle()
        return [x + math.sin(angle) * self.DIAL_RADIUS, y - math.cos(angle) * self.DIAL_RADIUS, z]

    def prepare(self, facts: Facts) -> None:
        push_init = facts["dial_push_position"]
        self.margin = abs(distance(push_init, self.target) - self.RADIUS)
        self.hand_margin = abs(distance(push_init, self.init_tcp) - self.DIAL_REACH)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        x, y, z = frame[4:7]
        to_target = distance((x, y, z), self.target)
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        tcp_to_push = distance((x + 0.05, y + 0.02, z + 0.09), self.scene.tcp())
        reach = gaussian(tcp_to_push, 0, self.DIAL_REACH, self.hand_margin)
        reach = hamacher(reach, min(max(0, effort), 1))
        reward = 10 * hamacher(reach, in_place)
        return reward, to_target <= self.RADIUS, tcp_to_push <= 0.01, 1.0, reach, in_place, to_target
