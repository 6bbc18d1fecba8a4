"""RL² on the Ant in a hidden direction of the whole circle, as PEARL defines it: trials of two episodes.

Return on 20 held-out directions in the first episode: 327 with the mean action, 240 with sampled ones (3.6M env steps,
two seeds; 16 to 24 minutes on one core, the other one busy), and still rising. Untrained, the mean action stands still
and has 196 for being alive; sampled ones have 9. Later episodes add nothing: the memory needs a part of the first.
A "step" is an episode that the memory has seen.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-dir-pearl-v0")
