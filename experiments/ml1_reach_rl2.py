"""RL² on Meta-World ML1 reach: trials of ten episodes, in which the memory has to find the goal.

A "step" of the results is an episode that the memory has seen. In meta-training the object, which reach does not use,
is shown off its place: otherwise it tells the 50 training goals apart, and the policy memorizes them.

Record: success 99% [86, 100], 97% [84, 100] before adaptation; 6.0M env steps, 23 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("reach-v3", iterations=60, object_jitter=0.1)
