"""Robot skill: open a door by its handle, wherever the door stands.

Teaches door-open of Meta-World: the door's place differs from task to task.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("door-open-v3")
