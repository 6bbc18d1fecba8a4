"""SAC on gymnasium's Pendulum-v1 as it is: the smallest run of an off-policy agent.

10k env steps.
"""

from __future__ import annotations

from metarl.envs.any_gym import GymTasks
from metarl.experiments._sac import sac_on_one_env

config, build = sac_on_one_env(GymTasks("Pendulum-v1", one_task=True), env_steps=10_000, warmup_steps=1_000)
