"""RL² on Meta-World ML1 push: trials of ten episodes, in which the memory has to find where the puck should go.

10M env steps, 35 minutes on one core, the other one busy. Success at any step on 50 held-out goals: 94 % in the first
episode, 100 % in the second, 98 % in the tenth with sampled actions, 96 and 98 % with the mean action; at the last step
80 to 86 and 74 % (seed 1; untrained 0). It finds the goal within the first episode, so that the others add little.
A "step" of the results is an episode that the memory has seen.
"""

from __future__ import annotations

from experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("push-v3", iterations=100, object_jitter=0.02, anneal_updates=200)
