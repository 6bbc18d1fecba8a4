"""One agent for all 50 Meta-World tasks, from replay: random goals, shown, as is the task's id.

10M env steps, 200k a task.

Record: success 83% [80, 86]; 10.0M env steps, 116 minutes, 1 seed.
"""

from __future__ import annotations

from dataclasses import replace

from metarl.envs.metaworld.mt import MT
from metarl.experiments._sac import METAWORLD, presets_on, sac_on_mt

config, build = sac_on_mt(
    MT(benchmark="MT50"), num_classes=50, iterations=400, agent=replace(METAWORLD, batch_size=1024)
)
PRESETS = presets_on(config())
