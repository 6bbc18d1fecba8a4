"""window-open-v3, window-close-v3: slide a window along x."""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.scene import Scene, constant
from metarl.envs.metaworld.fast.shaping import distance, gaussian, hamacher, long_tail
from metarl.envs.metaworld.fast.task import Facts, Outcome, Task

RADIUS = 0.05
HANDLE_RADIUS = 0.02


class WindowOpen(Task):
    """10 Hamacher(reach, in_place)."""

    FACTS = ("window_handle_pos_init",)
    HANDLE = "handleOpenStart"
    reach_shape = staticmethod(long_tail)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.position = scene.site(self.HANDLE)
        self.rotation = constant(0.0, 0.0, 0.0, 0.0)

    def start_x(self, facts: Facts) -> float:
        """Where the slide begins, metres: the frame's place, not the handle's."""
        return self.obj_init[0]

    def prepare(self, facts: Facts) -> None:
        self.margin = abs(abs(self.start_x(facts) - self.target[0]) - RADIUS)
        self.hand_margin = abs(distance(facts["window_handle_pos_init"], self.init_tcp) - HANDLE_RADIUS)

    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        obj = frame[4:7]
        to_target = abs(obj[0] - self.target[0])
        in_place = long_tail(to_target, 0, RADIUS, self.margin)
        tcp_to_obj = distance(obj, self.scene.tcp())
        reach = self.reach_shape(tcp_to_obj, 0, HANDLE_RADIUS, self.hand_margin)
        reward = 10 * hamacher(reach, in_place)
        return reward, to_target <= RADIUS, tcp_to_obj <= 0.05, 1.0, reach, in_place, to_target


class WindowClose(WindowOpen):
    """The same with a gaussian reach and the handle's own start."""

    HANDLE = "handleCloseStart"
    reach_shape = staticmethod(gaussian)

    def start_x(self, facts: Facts) -> float:
        """The handle's x, metres."""
        return facts["window_handle_pos_init"][0]
