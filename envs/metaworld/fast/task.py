"""What one Sawyer task adds to the engine: which object it observes, and its v2 reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from metarl.envs.metaworld.fast.scene import Reader, Scene

Outcome = tuple[float, bool, float, float, float, float, float]
"""One step's (reward, success, near_object, grasp_success, grasp_reward, in_place_reward, obj_to_target)."""

INFO_FIELDS = (
    "unscaled_reward",
    "success",
    "near_object",
    "grasp_success",
    "grasp_reward",
    "in_place_reward",
    "obj_to_target",
)
"""Meta-World's names of an Outcome's entries, in its order."""

Facts = dict[str, list[float]]
"""What placing an episode decided, by Meta-World's attribute name; a scalar is a list of one."""


class Task(ABC):
    """One lane's task: `begin` computes an episode's constants, `evaluate` scores a step.

    A frame is [hand x y z, gripper opening in 0..1, then position and quaternion of each observed object].
    """

    FACTS: ClassVar[tuple[str, ...]] = ()
    """Further attributes of Meta-World's env whose value after the reset the reward needs."""

    HAND_RESET_VARIES: ClassVar[bool] = False
    """Whether the settled state after the hand reset depends on where the model's bodies stand.

    True where something moves on its own meanwhile (a lid falls, a handle springs). Elsewhere the state is
    the same to the last bit for all placements: measured over the corners of the rand_vec space and 80 more.
    """

    COMMON_FACTS: ClassVar[tuple[str, ...]] = ("_target_pos", "obj_init_pos", "init_tcp", "hand_init_pos")

    pressing: Callable[[], bool] | None = None
    """Whether the pads press the object, which `grasp_success` also needs; None where contact does not count.

    The lane asks only when someone reads the info and the outcome's other conditions hold: contacts are dear.
    """

    position: Reader
    rotation: Reader

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def objects(self) -> list[float]:
        """Position and quaternion of the observed object(s): 7 or 14 floats."""
        return self.position() + self.rotation()

    def begin(self, facts: Facts) -> None:
        """Take over an episode's constants."""
        self.target = facts["_target_pos"]
        self.obj_init = facts["obj_init_pos"]
        self.init_tcp = facts["init_tcp"]
        self.hand_init = facts["hand_init_pos"]
        self.prepare(facts)

    @abstractmethod
    def prepare(self, facts: Facts) -> None:
        """Compute the reward's constants of this episode."""

    @abstractmethod
    def evaluate(self, frame: list[float], effort: np.float32) -> Outcome:
        """The v2 reward and its parts. `effort` is the action's gripper entry as it came, not clipped."""
