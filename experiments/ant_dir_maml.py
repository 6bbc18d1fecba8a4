"""MAML on the Ant in a hidden direction of the whole circle, as PEARL defines it; held-out directions to test on.

Return on 20 held-out directions after 0/1/2 steps of ten episodes: 152 / 169 / 182 with sampled actions (3.5M env
steps, two seeds; 10 minutes on one core, the other one busy), with the mean action 198 / 211 / 224 (seed 1).
Multi-task PPO has 160 and 198 throughout, RL² 240 and 327. Standing still has 196. An Ant step costs about seven
HalfCheetah steps.
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
