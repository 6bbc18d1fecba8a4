"""One policy without adaptation for all of the Ant's hidden directions: what ant_dir_maml has to beat.

Record: return 159 [156, 162], 160 [155, 164] before adaptation; 3.6M env steps, 10 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import PPO_AGENT, SLOW_NO_SUPPORT

config, build = experiment_on(
    RobotTasks(family="ant-dir-pearl-v0"),
    "multi_task_ppo",
    agent_config=PPO_AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_NO_SUPPORT,
)
