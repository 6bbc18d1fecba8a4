"""One agent for MT10's ten Meta-World tasks, from replay: random goals, shown, as is the task's id.

2M env steps, 200k a task, 23 minutes on one core: three seeds reach 97 % of goals with the mean action, 93 % at the
last step.
"""

from __future__ import annotations

from metarl.envs.metaworld.mt import MT
from metarl.experiments._sac import presets_on, sac_on_mt

config, build = sac_on_mt(MT(benchmark="MT10"), num_classes=10, iterations=400)
PRESETS = presets_on(config())
