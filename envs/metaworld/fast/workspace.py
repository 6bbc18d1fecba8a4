"""One MjData in which the episodes of a model take turns.

An MjData and what its physics touches are some hundred kB, an episode's state 1 kB. A hundred MjData do not fit into a
core's cache, and each step would begin by fetching its own.
"""

from __future__ import annotations

import numpy as np

from metarl.envs.metaworld.fast.physics import get_state, set_state
from metarl.envs.metaworld.fast.scene import Scene
from metarl.envs.mujoco_calls import MjData, MjModel, mj_forward


class Workspace:
    """`data`, and `scene`, what is read from it. An episode is known by the array that its state lies in."""

    def __init__(self, model: MjModel, data: MjData) -> None:
        self.model, self.data, self.scene = model, data, Scene(model, data)
        self._inside: np.ndarray | None = None

    def enter(self, state: np.ndarray) -> bool:
        """Make `data` that of `state`; False where it is so already. The one before is written back to its array.

        What MuJoCo derives from the state stays the other's until the next step.
        """
        if self._inside is state:
            return False
        if self._inside is not None:
            get_state(self.model, self.data, into=self._inside)
        set_state(self.model, self.data, state)
        self._inside = state
        return True

    def enter_to_read(self, state: np.ndarray) -> None:
        """As `enter`, with all that MuJoCo derives; the state keeps its bits, the solver's warm start among them."""
        if self.enter(state):
            mj_forward(self.model, self.data)
            set_state(self.model, self.data, state)
