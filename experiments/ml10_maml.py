"""MAML on Meta-World ML10: meta-train on ten kinds of task, adapt to five others.

20M env steps, the published budget. The ten adaptation episodes are spent on two inner steps of five, which was better
than one of ten on ML1 (docs/LOG.md). ML25 and ML45: `--benchmark ML45 --meta-batch-size 45`.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.maml import MAMLConfig, maml
from envs.metaworld.ml import ML
from experiments._metaworld import build_ml
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.rollout.pool import PoolConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    # 100 updates of 20 tasks x (5 + 5 + 10) episodes x 500 steps
    trainer: TrainerConfig = TrainerConfig(iterations=100, meta_batch_size=20)
    agent: MAMLConfig = MAMLConfig(inner_steps=2)
    tasks: ML = ML(benchmark="ML10")
    rl: RLSettings = RLSettings(
        support_episodes=5,
        query_episodes=10,
        evaluation=EvaluationConfig(adaptation_rounds=2, adaptation_episodes=5, training_tasks=100),
        pool=PoolConfig(lanes_per_group=50),
    )


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_ml(maml, config)
