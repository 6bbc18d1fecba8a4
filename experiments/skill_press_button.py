"""Robot skill: press a button, wherever it is.

Teaches button-press of Meta-World.

Record: success 87% [66, 96], 53% [32, 73] before adaptation; 1.5M env steps, 23 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._skills import skill

config, build = skill("button-press-v3", iterations=15)
