"""Robot skill: a four-legged robot walks forward or backward, whichever the reward asks for (RL²; Finn et al. 2017).

Teaches the Ant two gaits and a memory that finds out which is wanted. For any direction: ant_dir_rl2.
"""

from __future__ import annotations

from experiments._robots import walk

config, build = walk("ant-dir-maml-v0")
