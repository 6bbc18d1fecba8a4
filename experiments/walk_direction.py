"""Robot skill: a four-legged robot walks forward or backward, whichever the reward asks for (RL²; Finn et al. 2017).

Teaches the Ant two gaits and a memory that finds out which is wanted. For any direction: ant_dir_rl2. Returns were
still rising when training ended.

Record: return 90 [62, 118], 78.6 [77.6, 79.5] before adaptation; 5.0M env steps, 44 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-dir-maml-v0", iterations=200)
