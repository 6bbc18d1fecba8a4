"""Robot skill: close a drawer, wherever the cabinet stands.

Teaches drawer-close of Meta-World, the easiest of the set.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("drawer-close-v3")
