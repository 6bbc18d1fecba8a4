"""plate-slide-v3 and its three variants: slide a plate on the table."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05


class PlateSlide(Task):
    """8 Hamacher(hand at the plate, in_place)."""

    MARGIN_LESS = 0.0
    """Taken off both margins, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.geom("puck")
        self.rotation = scene.geom_quat_xyzw("puck")

    def prepare(self, facts: Facts) -> None:
        self.margin = distance(self.obj_init, self.target) - self.MARGIN_LESS
        self.hand_margin = distance(self.init_tcp, self.obj_init) - self.MARGIN_LESS

    def score(self, tcp_height: float, tcp_to_obj: float, grasped: float, in_place: float) -> float:
        """The reward from its parts."""
        return 8 * hamacher(grasped, in_place)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        obj, tcp = frame[4:7], self.scene.tcp()
        to_target = distance(obj, self.target)
        tcp_to_obj = distance(tcp, obj)
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        grasped = long_tail(tcp_to_obj, 0, RADIUS, self.hand_margin)
        reward = 10.0 if to_target < RADIUS else self.score(tcp[2], tcp_to_obj, grasped, in_place)
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, 0.0, grasped, in_place, to_target


class PlateSlideLow(PlateSlide):
    """-side, -back and -back-side: first bring the hand down to the plate, then slide."""

    MARGIN_LESS = RADIUS

    def score(self, tcp_height: float, tcp_to_obj: float, grasped: float, in_place: float) -> float:
        if tcp_height <= 0.03 and tcp_to_obj < 0.07:
            return 2.0 + 7.0 * in_place
        return 1.5 * grasped
