"""Robot skill: a four-legged robot walks at a commanded speed, 0 to 3 m/s, that it is told by the reward alone.

Teaches the Ant a gait that twenty episodes of feedback can speed up or slow down; `metarl adapt` RUN
--task '{"velocity": 1.5}' gives it a speed of your own.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import AGENT, SLOW_RL
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="ant-vel-maml-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_RL,
)
