"""CW10 with a perfect memory: the replay keeps the rows of all former tasks, and a batch holds all of them alike.

What fine-tuning (`cw10_sac`) is compared with; its presets are the same.
"""

from __future__ import annotations

from metarl.envs.metaworld.continual import ContinualWorld
from metarl.experiments._continual import Config, build, of_sequence, presets

__all__ = ["PRESETS", "build", "config"]

PRESETS = presets("keep")


def config() -> Config:
    return of_sequence(ContinualWorld(), "keep")
