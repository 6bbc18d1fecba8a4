"""Robot skill: open a door by its handle, wherever the door stands.

Teaches door-open of Meta-World: the door's place differs from task to task, and the policy sees it, so one policy opens
all doors: on 20 held-out places 98 % with sampled actions before adaptation and 91 % after ten episodes, 100 and 95 %
with the mean action (3.2M env steps, seed 1; 24 minutes on one core, the other one busy); untrained 0 %. For adaptation
stop it earlier: after 1.6M env steps 44 % of training episodes succeed before the inner steps and 79 % after them.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("door-open-v3", iterations=32)
