"""faucet-open-v3, faucet-close-v3: turn a faucet's handle one way or the other."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene, shifted
from metarl.envs.metaworld.fast.shaping import distance, gaussian, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

HANDLE_REACH = 0.01


class FaucetClose(Task):
    """2 (2 reach + 3 in_place)."""

    FACTS = ("_target_radius",)
    HANDLE = "handleStartClose"
    PUSHED_POINT = (0.0, 0.0, 0.0)
    """From the observed position to the point that the reward is about, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = shifted(scene.site(self.HANDLE), 0.0, 0.0, -0.01)
        self.rotation = scene.body_quat_wxyz("faucetBase")

    def prepare(self, facts: Facts) -> None:
        (self.radius,) = facts["_target_radius"]
        self.margin = abs(distance(self.obj_init, self.target) - self.radius)
        self.hand_margin = abs(distance(self.obj_init, self.init_tcp) - HANDLE_REACH)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        dx, dy, dz = self.PUSHED_POINT
        obj = (frame[4] + dx, frame[5] + dy, frame[6] + dz)
        to_target = distance(obj, self.target)
        in_place = long_tail(to_target, 0, self.radius, self.margin)
        tcp_to_obj = distance(obj, self.scene.tcp())
        reach = gaussian(tcp_to_obj, 0, HANDLE_REACH, self.hand_margin)
        reward = 10.0 if to_target <= self.radius else (2 * reach + 3 * in_place) * 2
        return reward, to_target <= 0.07, tcp_to_obj <= 0.01, 1.0, reach, in_place, to_target


class FaucetOpen(FaucetClose):
    """The same from the other side."""

    HANDLE = "handleStartOpen"
    PUSHED_POINT = (-0.04, 0.0, 0.03)
