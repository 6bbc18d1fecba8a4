"""One policy without adaptation for all of the Ant's hidden directions: what ant_dir_maml has to beat."""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import PPO_AGENT, SLOW_NO_SUPPORT
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="ant-dir-pearl-v0"),
    "multi_task_ppo",
    agent_config=PPO_AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_NO_SUPPORT,
)
