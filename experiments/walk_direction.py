"""Robot skill: a four-legged robot walks forward or backward, whichever the reward asks for (RL²; Finn et al. 2017).

Teaches the Ant two gaits and a memory that finds out which is wanted. For any direction: ant_dir_rl2. Return, mean of
the two directions, in the first episode: 79 with sampled actions and 131 with the mean action, in the third 90 and 105;
untrained 4 and 11, which is standing still (5.0M env steps, seed 1; 44 minutes on one core, the other one busy). Still
rising when it ended.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-dir-maml-v0", iterations=200)
