"""Robot skill: a four-legged robot walks at a commanded speed, 0 to 3 m/s, that it is told by the reward alone (RL²).

Teaches the Ant a gait and a memory that finds out, within an episode, how fast it should be; `metarl adapt` RUN
--task '{"velocity": 1.5}' gives it a speed of your own. It tells speeds apart, and does not yet go fast enough above
2.4 m/s.

Record: return 26.8 [-0.4, 55.0], 34.0 [8.7, 61.9] before adaptation; 3.3M env steps, 32 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-vel-maml-v0", iterations=160)
