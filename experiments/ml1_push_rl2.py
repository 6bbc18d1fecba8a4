"""RL² on Meta-World ML1 push: trials of ten episodes, in which the memory has to find where the puck should go.

20M env steps. A "step" of the results is an episode that the memory has seen.
"""

from __future__ import annotations

from experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("push-v3", iterations=200, object_jitter=0.02)
