"""Robot skill: open a drawer by its handle, wherever the cabinet stands.

Teaches drawer-open of Meta-World.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("drawer-open-v3")
