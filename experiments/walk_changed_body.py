"""Robot skill: a two-legged robot goes on walking when its body is another: mass, inertia, damping and friction.

Teaches Walker2d to adapt its gait to bodies it has not had, each part up to 3.4 times heavier or lighter.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import AGENT, SLOW_RL
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="walker-params-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=50, meta_batch_size=20),
    rl=SLOW_RL,
)
