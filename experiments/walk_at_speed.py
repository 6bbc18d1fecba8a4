"""Robot skill: a four-legged robot walks at a commanded speed, 0 to 3 m/s, that it is told by the reward alone (RL²).

Teaches the Ant a gait and a memory that finds out, within an episode, how fast it should be; `metarl adapt` RUN
--task '{"velocity": 1.5}' gives it a speed of your own. Return on 20 held-out speeds in the first episode: 34 with
sampled actions, 45 with the mean action, untrained -106 and -151; later episodes add nothing (3.3M env steps, seed 1;
32 minutes on one core, the other one busy). By speed, mean action: 178 of at most 210 at 0.2 m/s, 130 at 0.9, and
about 0 above 2.4, where it does not go fast enough yet: it tells speeds apart, for walking at 0.2 would have -230
there.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("ant-vel-maml-v0", iterations=160)
