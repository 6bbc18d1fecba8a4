"""Robot skill: close a drawer, wherever the cabinet stands.

Teaches drawer-close of Meta-World, the easiest of the set: one policy closes all drawers (100 % before adaptation and
after it, on 20 held-out places, 1.0M env steps, seed 1; untrained 25 %), so it shows training and not adaptation.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("drawer-close-v3", iterations=10)
