"""Robot skill: open a drawer by its handle, wherever the cabinet stands.

Teaches drawer-open of Meta-World, and adaptation shows most with the mean action and at the last step.

Record: success 83% [62, 94], 71% [49, 86] before adaptation; 2.8M env steps, 19 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("drawer-open-v3", iterations=28)
