"""Robot skill: press a button, wherever it is.

Teaches button-press of Meta-World. Success on 20 held-out places, at some step and at the last, with the mean action:
70 and 35 % before adaptation, 90 and 75 % after five episodes, 100 and 85 % after ten (1.5M env steps, seed 1; 23
minutes on one core, the other one busy). With sampled actions 53, 82 and 87 % at some step; untrained 0, 3, 10.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("button-press-v3", iterations=15)
