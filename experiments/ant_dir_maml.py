"""MAML on the Ant in a hidden direction of the whole circle, as PEARL defines it; held-out directions to test on.

Compare `ant_dir_multi_task_ppo`, which does not adapt, and `ant_dir_rl2`. Standing still has a return of 196, one for
each step alive less a few costs. An Ant step costs about as much as seven HalfCheetah steps.

Record: return 182 [178, 187], 152 [135, 169] before adaptation; 3.5M env steps, 9 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import AGENT, SLOW_RL

config, build = experiment_on(
    RobotTasks(family="ant-dir-pearl-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_RL,
)
