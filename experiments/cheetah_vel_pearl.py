"""PEARL on HalfCheetah at a hidden speed of 0 to 3 m/s, its paper's own task: one episode tells the speed.

1.2M env steps.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments import experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "pearl",
    # an episode by z from the prior and one by what it told, of 200 steps: 8k env steps an iteration
    trainer=TrainerConfig(iterations=150, meta_batch_size=20, checkpoint_every_iterations=20),
    rl=RLSettings(
        support_episodes=1,
        query_episodes=1,
        evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=20, adaptation_rounds=2),
        pool=PoolConfig(lanes_per_group=10),
    ),
)
