"""Robot skill: grasp a peg and insert it sideways into a hole, wherever both are (RL²).

Teaches peg-insert-side of Meta-World; with grasping, the other hard one of the set. In trials of ten episodes, as in
ml1_push_rl2; it finds the hole within the first one, and the others add nothing.

Record: success 100% [93, 100], 100% [93, 100] before adaptation; 8.0M env steps, 37 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("peg-insert-side-v3", iterations=80, object_jitter=0.01, anneal_updates=200)
