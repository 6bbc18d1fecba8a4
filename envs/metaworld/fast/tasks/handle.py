"""handle-press(-side)-v3, handle-pull(-side)-v3: a handle that slides up and down."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Scene, constant
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class HandlePress(Task):
    """10 Hamacher(reach, in_place); -side has the same reward on another model."""

    HAND_RESET_VARIES = True
    FACTS = ("_handle_init_pos",)
    RADIUS = 0.02
    HANDLE_RADIUS = 0.02

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("handleStart")
        self.rotation = constant(0.0, 0.0, 0.0, 0.0)

    def prepare(self, facts: Facts) -> None:
        handle = facts["_handle_init_pos"]
        self.margin = abs(abs(handle[2] - self.target[2]) - self.RADIUS)
        self.hand_margin = abs(distance(handle, self.init_tcp) - self.HANDLE_RADIUS)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        obj = frame[4:7]
        to_target = abs(obj[2] - self.target[2])
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        tcp_to_obj = distance(obj, self.scene.tcp())
        reach = long_tail(tcp_to_obj, 0, self.HANDLE_RADIUS, self.hand_margin)
        success = to_target <= self.RADIUS
        reward = 1.0 if success else hamacher(reach, in_place)
        return reward * 10, success, tcp_to_obj <= 0.05, 1.0, reach, in_place, to_target


class HandlePull(Task):
    """Hamacher(grasp, in_place), and 1 + 5 in_place more with the handle in hand and lifted."""

    HAND_RESET_VARIES = True
    RADIUS = 0.05
    SUCCESS_WITHIN = 0.05
    LIFT_AXIS = 1
    """Meta-World compares the handle's *y* with its initial height here: it always counts as lifted."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rotation = constant(0.0, 0.0, 0.0, 0.0)
        self.position = scene.site("handleRight")
        self.grasp = Grasp(scene, radius=0.022, pad_reach=0.05, xz_reach=0.01)

    def prepare(self, facts: Facts) -> None:
        self.grasp.begin(self.obj_init, self.init_tcp)
        self.margin = self.error(self.obj_init)

    def error(self, obj: list[float]) -> float:
        """How far the handle is from its goal, metres: in height alone."""
        return abs(self.target[2] - obj[2])

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj, tcp = frame[3], frame[4:7], self.scene.tcp()
        to_target = self.error(obj)
        in_place = long_tail(to_target, 0, self.RADIUS, self.margin)
        grasped = self.grasp(obj, tcp, effort)
        reward = hamacher(grasped, in_place)
        tcp_to_obj = distance(obj, tcp)
        if tcp_to_obj < 0.035 and opened > 0 and obj[self.LIFT_AXIS] - 0.01 > self.obj_init[2]:
            reward += 1.0 + 5.0 * in_place
        if to_target < self.RADIUS:
            reward = 10.0
        success = to_target <= self.SUCCESS_WITHIN
        lifted = opened > 0 and obj[2] - 0.03 > self.obj_init[2]
        return reward, success, tcp_to_obj <= 0.05, lifted, grasped, in_place, to_target


class HandlePullSide(HandlePull):
    """The same with the distance in all three axes."""

    SUCCESS_WITHIN = 0.08
    LIFT_AXIS = 2

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("handleCenter")
        self.grasp = Grasp(scene, radius=0.032, pad_reach=0.06, xz_reach=0.01)

    def error(self, obj: list[float]) -> float:
        """Metres, in three axes."""
        return distance(obj, self.target)
