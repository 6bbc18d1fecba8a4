"""MAML on HalfCheetah at a hidden speed of 0 to 3 m/s, as PEARL defines it: 100 tasks to train on, 30 to test on.

Held to the reward alone, the policy has to find out from twenty episodes which speed is wanted. Return on the 30
held-out speeds after 0/1/2/3 steps with sampled actions: -223 / -175 / -177 / -170, mean of two seeds (-149 and -192
after three steps); multi-task PPO -189 throughout, RL² -44 (10M env steps each, RL² 6M). Standing still costs 300.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import AGENT, RL

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=125, meta_batch_size=20),
    rl=RL,
)
