"""Meta-World's Sawyer tasks stepped at the speed of their physics: one shared model, many lanes."""

from __future__ import annotations

from metarl.envs.metaworld.fast.lane import SawyerLane
from metarl.envs.metaworld.fast.model import SawyerModel
from metarl.envs.metaworld.fast.tasks import TASKS

FAST_TASKS: tuple[str, ...] = tuple(TASKS)

__all__ = ["FAST_TASKS", "SawyerLane", "SawyerModel"]
