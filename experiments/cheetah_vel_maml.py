"""MAML on HalfCheetah at a hidden speed of 0 to 3 m/s, as PEARL defines it: 100 tasks to train on, 30 to test on.

Held to the reward alone, the policy has to find out from twenty episodes which speed is wanted.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import AGENT, RL
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=125, meta_batch_size=20),
    rl=RL,
)
