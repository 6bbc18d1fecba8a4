"""Robot skill: grasp a peg and insert it sideways into a hole, wherever both are.

Teaches peg-insert-side of Meta-World; with grasping, the other hard one of the set.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("peg-insert-side-v3")
