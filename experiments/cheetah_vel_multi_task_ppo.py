"""One policy without adaptation for all of HalfCheetah's hidden speeds: what cheetah_vel_maml has to beat.

Record: return -189 [-280, -97], -188 [-263, -113] before adaptation; 10.0M env steps, 24 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import NO_SUPPORT, PPO_AGENT

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "multi_task_ppo",
    agent_config=PPO_AGENT,
    trainer=TrainerConfig(iterations=125, meta_batch_size=20),
    rl=NO_SUPPORT,
)
