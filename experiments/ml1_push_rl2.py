"""RL² on Meta-World ML1 push: trials of ten episodes, in which the memory has to find where the puck should go.

It finds the goal within the first episode, and the others add little. A "step" of the results is an episode that the
memory has seen.

Record: success 97% [84, 100], 96% [70, 100] before adaptation; 10.0M env steps, 50 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("push-v3", iterations=100, object_jitter=0.02, anneal_updates=200)
