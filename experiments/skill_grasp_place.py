"""Robot skill: grasp an object and put it at a place in the air that only the reward tells.

Teaches pick-place of Meta-World: 50 goals and object places to train on, 50 others to adapt to. The hardest of the
set: the gripper must close on the object before any goal matters.
"""

from __future__ import annotations

from experiments._skills import skill

config, build = skill("pick-place-v3")
