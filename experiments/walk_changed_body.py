"""Robot skill: a two-legged robot goes on walking when its body is another: mass, inertia, damping and friction (RL²).

Teaches Walker2d a gait and a memory that feels out which body it has; each part is up to 3.4 times heavier or lighter.
"""

from __future__ import annotations

from experiments._robots import walk

config, build = walk("walker-params-v0")
