"""RL² on Meta-World ML1 push: trials of ten episodes, in which the memory has to find where the puck should go.

10M env steps, 35 to 65 minutes on one core. Success at any step on 50 held-out goals, two seeds: 94 and 98 % in the
first episode, 100 % in the second, 98 and 96 % in the tenth with sampled actions; with the mean action 96 and 84 % in
the first, 98 and 86 % in the tenth; at the last step 85 and 72 % in the tenth (untrained 0). It finds the goal within
the first episode, so that the others add little.
A "step" of the results is an episode that the memory has seen.
"""

from __future__ import annotations

from metarl.experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("push-v3", iterations=100, object_jitter=0.02, anneal_updates=200)
