"""button-press-v3 and its three variants, coffee-button-v3: push a button along y or z."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene, constant, shifted
from metarl.envs.metaworld.fast.shaping import distance, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class Press(Task):
    """WEIGHT_NEAR Hamacher(fingers, near) + WEIGHT_PRESSED pressed, the second only near the button."""

    FACTS = ("_obj_to_target_init",)
    AXIS = 1
    NEAR_RADIUS = 0.05
    WEIGHT_NEAR = 2
    WEIGHT_PRESSED = 8
    PRESS_WITHIN = 0.05
    """Distance of hand and button at which pressing counts, metres."""
    SUCCESS_WITHIN = 0.02

    def prepare(self, facts: Facts) -> None:
        (self.margin,) = facts["_obj_to_target_init"]

    def fingers(self, opened: float) -> float:
        """What the gripper's opening counts for, in [0, 1]."""
        return opened

    def score(self, opened: float, tcp_to_obj: float, near: float, pressed: float) -> float:
        """The reward from its parts."""
        reward = self.WEIGHT_NEAR * hamacher(self.fingers(opened), near)
        return reward + self.WEIGHT_PRESSED * pressed if tcp_to_obj <= self.PRESS_WITHIN else reward

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj = frame[3], frame[4:7]
        tcp_to_obj = distance(obj, self.scene.tcp())
        to_target = abs(self.target[self.AXIS] - obj[self.AXIS])
        near = long_tail(tcp_to_obj, 0, self.NEAR_RADIUS, distance(obj, self.init_tcp))
        pressed = long_tail(to_target, 0, 0.005, self.margin)
        reward = self.score(opened, tcp_to_obj, near, pressed)
        success = to_target <= self.SUCCESS_WITHIN
        return reward, success, tcp_to_obj <= 0.05, opened > 0, near, pressed, to_target


class Button(Press):
    """A button on the side of a box."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = shifted(scene.body("button"), 0.0, -0.193, 0.0)
        self.rotation = scene.body_quat_wxyz("button")


class ButtonWall(Button):
    """With the button behind a wall: close the fingers on the way, open them at it."""

    NEAR_RADIUS = 0.01
    SUCCESS_WITHIN = 0.03

    def score(self, opened: float, tcp_to_obj: float, near: float, pressed: float) -> float:
        if tcp_to_obj > 0.07:
            return 2 * hamacher((1 - opened) / 2.0, near)
        return 2 + 2 * (1 + opened) + 4 * pressed**2


class ButtonTopdownWall(Press):
    """From above, with a wall in front."""

    AXIS = 2
    NEAR_RADIUS = 0.01
    WEIGHT_NEAR = 5
    WEIGHT_PRESSED = 5
    PRESS_WITHIN = 0.03
    SUCCESS_WITHIN = 0.024

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = shifted(scene.body("button"), 0.0, 0.0, 0.193)
        self.rotation = scene.body_quat_wxyz("button")


class ButtonTopdown(ButtonTopdownWall):
    """From above; here closed fingers count."""

    def fingers(self, opened: float) -> float:
        return 1 - opened


class CoffeeButton(Press):
    """The button of a coffee machine."""

    FACTS = ("max_dist",)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("buttonStart")
        self.rotation = constant(1.0, 0.0, 0.0, 0.0)

    def prepare(self, facts: Facts) -> None:
        (self.margin,) = facts["max_dist"]
