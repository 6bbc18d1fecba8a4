"""PEARL on Meta-World ML1 reach, the goal hidden; another task by `--env-name push-v3 --object-jitter 0.02`.

800k env steps.
"""

from __future__ import annotations

from metarl.agents.pearl import PEARLConfig
from metarl.envs.metaworld.ml1 import ML1
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments import experiment_on
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

config, build = experiment_on(
    # metres; without it a net tells the 50 training goals by where the object lies
    ML1(object_jitter=0.1),
    "pearl",
    agent_config=PEARLConfig(replay_ratio=16, exploration=ExplorationConfig(noise_exponent=1.0)),
    # an episode by z from the prior and one by what it told, of 500 steps: 20k env steps an iteration
    trainer=TrainerConfig(iterations=40, meta_batch_size=20),
    rl=RLSettings(
        support_episodes=1,
        query_episodes=1,
        evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=3, adaptation_rounds=3),
        pool=PoolConfig(lanes_per_group=10),
    ),
)
