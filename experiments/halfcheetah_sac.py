"""SAC on gymnasium's HalfCheetah-v5 as it is: an env alone, nothing of which varies.

100k env steps.
"""

from __future__ import annotations

from metarl.envs.any_gym import GymTasks
from metarl.experiments._sac import sac_on_one_env

config, build = sac_on_one_env(GymTasks("HalfCheetah-v5", one_task=True), env_steps=100_000)
