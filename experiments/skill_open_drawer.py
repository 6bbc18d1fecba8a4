"""Robot skill: open a drawer by its handle, wherever the cabinet stands.

Teaches drawer-open of Meta-World, and adaptation shows: success on 20 held-out places with the mean action is 45 %
before it and 100 % after five episodes, at the last step 10 and 100 %. With sampled actions 71, 83 and 83 % at some
step, 13, 57 and 74 % at the last, after 0, 5 and 10 episodes (2.8M env steps, seed 1; 19 minutes on one core, the
other one busy); untrained 0 to 1 %.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("drawer-open-v3", iterations=28)
