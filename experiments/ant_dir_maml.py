"""MAML on the Ant in a hidden direction of the whole circle, as PEARL defines it; held-out directions to test on.

An Ant step costs about seven HalfCheetah steps.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import AGENT, SLOW_RL
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="ant-dir-pearl-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_RL,
)
