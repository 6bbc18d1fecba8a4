"""One agent for MT10's ten Meta-World tasks, from replay: random goals, shown, as is the task's id.

200k env steps a task.

Record: success 97% [93, 100]; 2.0M env steps, 23 minutes, 3 seeds.
"""

from __future__ import annotations

from metarl.envs.metaworld.mt import MT
from metarl.experiments._sac import presets_on, sac_on_mt

config, build = sac_on_mt(MT(benchmark="MT10"), num_classes=10, iterations=400)
PRESETS = presets_on(config())
