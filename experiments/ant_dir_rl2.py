"""RL² on the Ant in a hidden direction of the whole circle, as PEARL defines it: trials of two episodes.

A "step" of the results is an episode that the memory has seen. Later episodes add nothing: the memory needs a part of
the first one. Returns were still rising when training ended.

Record: return 219 [200, 238], 240 [139, 340] before adaptation; 3.6M env steps, 20 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-dir-pearl-v0")
