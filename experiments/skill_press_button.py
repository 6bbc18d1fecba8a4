"""Robot skill: press a button, wherever it is.

Teaches button-press of Meta-World.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("button-press-v3")
