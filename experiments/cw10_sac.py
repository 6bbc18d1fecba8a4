"""Continual World's CW10, ten Meta-World tasks one after another by one agent: fine-tuning, whose replay forgets.

1M env steps a task. `--preset cw20` is the ten tasks twice, `--preset short` three easy ones at 50k env steps each.
"""

from __future__ import annotations

from metarl.envs.metaworld.continual import ContinualWorld
from metarl.experiments._continual import Config, build, of_sequence, presets

__all__ = ["PRESETS", "build", "config"]

PRESETS = presets("forget")


def config() -> Config:
    return of_sequence(ContinualWorld(), "forget")
