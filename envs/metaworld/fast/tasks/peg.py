"""peg-insert-side-v3, peg-unplug-side-v3."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import Point, distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


def prism_share(point: Point, zero: Point, one: Point) -> float:
    """Product of the point's fractions of the way from corner `zero` to corner `one`; 1 outside the prism."""
    share = 1.0
    for p, a, b in zip(point, zero, one, strict=True):
        if not min(a, b) <= p <= max(a, b):
            return 1.0
        share *= (p - a) / (b - a)
    # a float64 *scalar*, as in Meta-World, where it lifts the float32 of the grasp to float64
    return np.float64(share)


class PegInsertSide(Task):
    """Hamacher(grasp, in_place), and 1 + 5 in_place more once lifted; the box's corners lower in_place."""

    FACTS = ("peg_head_pos_init",)
    RADIUS = 0.07
    SCALE = (1.0, 2.0, 2.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("pegGrasp")
        self.rotation = scene.site_quat_xyzw("pegGrasp")
        self.head = scene.site("pegHead")
        corners = ("bottom_right_corner_collision_box", "top_left_corner_collision_box")
        self.boxes = [[scene.site(f"{corner}_{box}") for corner in corners] for box in (2, 1)]
        self.grasp = Grasp(scene, radius=0.0075, pad_reach=0.03, xz_reach=0.005)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = scaled_distance(facts["peg_head_pos_init"], self.target, self.SCALE)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp, head = frame[3], frame[4:7], self.scene.tcp(), self.head()
        tcp_to_obj = distance(obj, tcp)
        to_target = scaled_distance(head, self.target, self.SCALE)
        clear_of_boxes = hamacher(*(prism_share(head, zero(), one()) for zero, one in self.boxes))
        in_place = hamacher(long_tail(to_target, 0, self.RADIUS, self.margin), clear_of_boxes)
        in_hand = opened > 0 and obj[2] - 0.01 > self.obj_init[2]
        carried = tcp_to_obj < 0.08 and in_hand
        grasped = 1.0 if carried else self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        if carried:
            reward += 1.0 + 5 * in_place
        success = to_target <= self.RADIUS
        if success:
            reward = 10.0
        held = tcp_to_obj < 0.02 and in_hand
        return reward, success, tcp_to_obj <= 0.03, held, grasped, in_place, to_target


class PegUnplugSide(Task):
    """2 grasp, or 1 + 2 grasp + 5 in_place once it moves out."""

    HAND_RESET_VARIES = True
    RADIUS = 0.05

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("pegEnd")
        self.rotation = scene.body_quat_wxyz("plug1")
        self.grasp = Grasp(scene, radius=0.025, pad_reach=0.05, xz_reach=0.005, full_effort=0.8)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = distance(self.obj_init, self.target)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        tcp_to_obj = distance(obj, tcp)
        to_target = distance(obj, self.target)
        grasped = self.grasp(obj, tcp, effort)
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        held = opened > 0.5 and obj[0] - self.obj_init[0] > 0.015
        reward = 2 * grasped
        if held and tcp_to_obj < 0.035:
            reward = 1 + 2 * grasped + 5 * in_place
        if to_target <= self.RADIUS:
            reward = 10.0
        return reward, to_target <= 0.07, tcp_to_obj <= 0.03, held, grasped, in_place, to_target
