"""door-lock-v3, door-unlock-v3: turn a lock's handle."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.metaworld.fast.shaping import hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

SCALE = (0.25, 1.0, 0.5)


class DoorLock(Task):
    """2 Hamacher(opening, left pad near the lock) + 8 (lock's height)."""

    HAND_RESET_VARIES = True
    FACTS = ("_lock_length",)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("lockStartLock")
        self.rotation = scene.body_quat_wxyz("door_link")

    def prepare(self, facts: Facts) -> None:
        (self.lock_length,) = facts["_lock_length"]

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, obj = frame[3], frame[4:7]
        pad_to_obj = scaled_distance(obj, self.scene.left_pad(), SCALE)
        to_target = abs(self.target[2] - obj[2])
        # the margin is meant to be the *initial* distance, but `init_left_pad` is a live view: it is this one
        near = long_tail(pad_to_obj, 0, 0.01, pad_to_obj)
        pressed = long_tail(to_target, 0, 0.005, self.lock_length)
        reward = 2 * hamacher(opened, near) + 8 * pressed
        return reward, to_target <= 0.02, pad_to_obj <= 0.05, opened > 0, near, pressed, to_target


class DoorUnlock(Task):
    """2 (hand's shoulder at the lock) + 8 (lock's place)."""

    HAND_RESET_VARIES = True
    FACTS = ("_lock_length",)
    SHOULDER = (0.0, 0.055, 0.07)
    """From the hand to the part of it that pushes, metres."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site("lockStartUnlock")
        self.rotation = scene.body_quat_wxyz("door_link")
        # `obj_init_pos` is a live view into MuJoCo's data in Meta-World, not the initial position: it moves
        self.lock = scene.body("lock_link")

    def prepare(self, facts: Facts) -> None:
        (self.lock_length,) = facts["_lock_length"]
        x, y, z = self.init_tcp
        self.init_shoulder = (x + self.SHOULDER[0], y + self.SHOULDER[1], z + self.SHOULDER[2])

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        hx, hy, hz, opened = frame[:4]
        lock = frame[4:7]
        shoulder = (hx + self.SHOULDER[0], hy + self.SHOULDER[1], hz + self.SHOULDER[2])
        to_lock = scaled_distance(shoulder, lock, SCALE)
        ready = long_tail(to_lock, 0, 0.02, scaled_distance(self.init_shoulder, self.lock(), SCALE))
        to_target = abs(self.target[0] - lock[0])
        pushed = long_tail(to_target, 0, 0.005, self.lock_length)
        reward = 2 * ready + 8 * pushed
        return reward, to_target <= 0.02, to_lock <= 0.05, opened > 0, ready, pushed, to_target
