"""Robot skill: a four-legged robot walks forward or backward, whichever the reward asks for (Finn et al. 2017).

Teaches the Ant two gaits in one set of weights, one gradient step apart. For any direction: ant_dir_maml.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import AGENT, SLOW_RL
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="ant-dir-maml-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=100, meta_batch_size=10),
    rl=SLOW_RL,
)
