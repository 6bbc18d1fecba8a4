"""MAML on Meta-World ML10: meta-train on ten kinds of task, adapt to five others."""

from __future__ import annotations

from dataclasses import dataclass

from agents.maml import MAMLConfig, maml
from envs.metaworld.ml import ML
from experiments._build import build_with
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    # 100 updates of 20 tasks x (10 + 10) episodes x 500 steps: the published budget of 20M env steps
    trainer: TrainerConfig = TrainerConfig(iterations=100, meta_batch_size=20)
    agent: MAMLConfig = MAMLConfig()
    tasks: ML = ML(benchmark="ML10")
    rl: RLSettings = RLSettings(evaluation=EvaluationConfig(first_come_envs=4))


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(maml, config)
