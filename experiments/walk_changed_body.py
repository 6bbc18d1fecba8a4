"""Robot skill: a two-legged robot goes on walking when its body is another: mass, inertia, damping and friction (RL²).

Teaches Walker2d a gait and a memory that can feel out which body it has; each part is up to 3.4 times heavier or
lighter. No policy without a memory was trained for comparison, so it is open how much of it is adaptation.

Record: return 318 [274, 364], 334 [279, 392] before adaptation; 2.5M env steps, 14 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("walker-params-v0")
