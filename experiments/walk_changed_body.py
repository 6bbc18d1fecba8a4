"""Robot skill: a two-legged robot goes on walking when its body is another: mass, inertia, damping and friction (RL²).

Teaches Walker2d a gait and a memory that can feel out which body it has; each part is up to 3.4 times heavier or
lighter. Return on the 10 held-out bodies in the first episode: 334 with sampled actions, 341 with the mean action (2.5M
env steps, seed 1; 14 minutes on one core, the other one busy), untrained 5 and 14, and later episodes add nothing. No
policy without a memory was trained beside it, so that how much of it is adaptation is open.
"""

from __future__ import annotations

from metarl.experiments._robots import walk

config, build = walk("walker-params-v0")
