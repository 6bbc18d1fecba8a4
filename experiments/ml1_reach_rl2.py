"""RL² on Meta-World ML1 reach: trials of ten episodes, the goal to be found in the first ones."""

from __future__ import annotations

from dataclasses import dataclass

from agents.rl2 import RL2, RL2Config
from envs.metaworld.ml1 import ML1
from experiments._build import build_with
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.rollout.pool import PoolConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=100, meta_batch_size=20)
    agent: RL2Config = RL2Config(
        hidden_dim=128,
        reward_input_scale=0.1,  # Meta-World's rewards go up to 10
        lr=5e-4,
        epochs=8,
        entropy_coef=1e-3,
    )
    tasks: ML1 = ML1(env_name="reach-v3")
    rl: RLSettings = RLSettings(
        query_episodes=10,
        # episode by episode up to the tenth, which is as far as a trial goes in training
        evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=2, adaptation_rounds=9, first_come_envs=10),
        # a trial is one lane: two groups of ten keep both workers busy
        pool=PoolConfig(lanes_per_group=10),
    )


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(RL2, config)
