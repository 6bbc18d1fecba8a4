"""Robot skill: grasp a peg and insert it sideways into a hole, wherever both are (RL²).

Teaches peg-insert-side of Meta-World; with grasping, the other hard one of the set. In trials of ten episodes, as in
ml1_push_rl2.

8M env steps, 37 minutes on one core, the other one busy. Success on 50 held-out places with the mean action, at some
step: 100 % in the first episode and in the tenth, at the last step 98 %; with sampled actions 98 to 100 % and 90 to
98 % (seed 1; untrained 0). It finds the hole within the first episode, so that the others add nothing.
"""

from __future__ import annotations

from metarl.experiments._rl2_ml1 import rl2_on_ml1

config, build = rl2_on_ml1("peg-insert-side-v3", iterations=80, object_jitter=0.01, anneal_updates=200)
