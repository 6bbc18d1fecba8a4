"""Robot skill: turn a dial, wherever it is.

Teaches dial-turn of Meta-World.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("dial-turn-v3")
