"""stick-push-v3, stick-pull-v3: move a thermos with a stick."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.grasping import Grasp
from metarl.envs.metaworld.fast.scene import Reader, Scene, shifted
from metarl.envs.metaworld.fast.shaping import Point, distance, hamacher, long_tail, scaled_distance
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task


class Stick(Task):
    """Observes the stick and a point of the thermos, whose quaternion is given as zeros."""

    FACTS = ("stick_init_pos",)
    thermos: Reader

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.body("stick")
        self.rotation = scene.body_quat_xyzw("stick")
        self.pressing = scene.pressing("objGeom")

    def objects(self) -> list[float]:
        return [*self.position(), *self.rotation(), *self.thermos(), 0.0, 0.0, 0.0, 0.0]


class StickPush(Stick):
    """The grasp, or 2 + 5 stick in place + 3 thermos in place with the stick in hand."""

    RADIUS = 0.12

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.thermos = shifted(scene.site("insertion"), 0.0, 0.09, 0.0)
        self.presses_stick = scene.pressing("objGeom")
        self.grasp = Grasp(scene, radius=0.04, pad_reach=0.05, xz_reach=0.01)

    def prepare(self, facts: Facts) -> None:
        stick_init = facts["stick_init_pos"]
        self.init_height = stick_init[2]
        self.grasp.begin(stick_init, self.init_tcp)
        self.stick_margin = distance(stick_init, self.target) - self.RADIUS
        self.thermos_margin = distance(self.obj_init, self.target) - self.RADIUS

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, tcp, thermos = frame[3], self.scene.tcp(), frame[11:14]
        stick = (frame[4] + 0.015, frame[5], frame[6])
        tcp_to_stick = distance(stick, tcp)
        stick_in_place = long_tail(distance(stick, self.target), 0, self.RADIUS, self.stick_margin)
        to_target = distance(thermos, self.target)
        lifted = opened > 0 and stick[2] - 0.01 > self.init_height
        if tcp_to_stick < 0.02 and lifted:
            grasped = 1.0
            thermos_in_place = long_tail(to_target, 0, self.RADIUS, self.thermos_margin)
            reward = 2.0 + 5.0 * stick_in_place + 3.0 * thermos_in_place
            if to_target <= self.RADIUS:
                reward = 10.0
        else:
            reward = grasped = self.grasp(stick, tcp, effort)
        # success needs the pads' contact too, looked at only when the rest holds
        success = to_target <= 0.12 and lifted and self.presses_stick()
        return reward, success, tcp_to_stick <= 0.03, lifted, grasped, stick_in_place, to_target


class StickPull(Stick):
    """Hamacher(grasp, stick at the thermos); more with the stick in hand, and in the thermos' ring."""

    RADIUS = 0.05
    SCALE = (1.0, 1.0, 2.0)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.thermos = scene.site("insertion")
        self.stick_end = scene.site("stick_end")
        self.grasp = Grasp(scene, radius=0.014, pad_reach=0.05, xz_reach=0.01)

    def prepare(self, facts: Facts) -> None:
        stick_init = facts["stick_init_pos"]
        x, y, z = self.obj_init
        self.init_height = stick_init[2]
        self.grasp.begin(self.obj_init, self.init_tcp)  # the thermos' place, though the stick is grasped
        self.stick_margin = scaled_distance(stick_init, (x + 0.05, y, z), self.SCALE)
        self.stick_goal_margin = distance(stick_init, self.target)
        self.thermos_margin = distance(self.obj_init, self.target)

    def _inserted(self, ring: Point) -> bool:
        x, y, z = self.stick_end()
        return x >= ring[0] and abs(y - ring[1]) <= 0.04 and abs(z - ring[2]) <= 0.06

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        opened, stick, tcp, ring = frame[3], frame[4:7], self.scene.tcp(), frame[11:14]
        thermos = (ring[0] + 0.05, ring[1], ring[2])
        tcp_to_stick = distance(stick, tcp)
        to_target = distance(ring, self.target)
        in_place = long_tail(scaled_distance(stick, thermos, self.SCALE), 0, self.RADIUS, self.stick_margin)
        inserted = self._inserted(ring)
        held = tcp_to_stick < 0.02 and opened > 0 and stick[2] - 0.01 > self.init_height
        grasped = 1.0 if held else self.grasp(stick, tcp, effort)
        reward = hamacher(grasped, in_place)
        if held and inserted:
            at_goal = long_tail(distance(stick, self.target), 0, self.RADIUS, self.stick_goal_margin)
            thermos_at_goal = long_tail(distance(thermos, self.target), 0, self.RADIUS, self.thermos_margin)
            reward = 10.0 if to_target <= 0.12 else 1.0 + reward + 5.0 + 2.0 * at_goal + 1.0 * thermos_at_goal
        elif held:
            reward = 1.0 + reward + 5.0 * in_place
        lifted = opened > 0 and stick[2] - 0.02 > self.obj_init[2]
        success = to_target <= 0.12 and inserted
        return reward, success, tcp_to_stick <= 0.03, lifted, grasped, in_place, to_target
