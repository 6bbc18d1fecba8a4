"""Robot skill: a four-legged robot walks at a commanded speed, 0 to 3 m/s, that it is told by the reward alone (RL²).

Teaches the Ant a gait and a memory that finds out, within an episode, how fast it should be; `metarl adapt` RUN
--task '{"velocity": 1.5}' gives it a speed of your own.
"""

from __future__ import annotations

from experiments._robots import walk

config, build = walk("ant-vel-maml-v0")
