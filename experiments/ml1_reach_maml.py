"""The main job: MAML on Meta-World ML1 reach, adapting to goals it has never seen."""

from __future__ import annotations

from dataclasses import dataclass

from agents.fast_weights import FastWeights
from agents.maml import MAMLConfig, maml
from envs.metaworld.ml1 import ML1
from metarl.device import resolve_device
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.seeding import Stream, torch_rng


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=20, meta_batch_size=10)
    agent: MAMLConfig = MAMLConfig()
    tasks: ML1 = ML1(env_name="reach-v3")
    rl: RLSettings = RLSettings(evaluation=EvaluationConfig(first_come_envs=10))


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    def make_learner() -> FastWeights:
        return maml(
            config.tasks.spec,
            config.agent,
            generator=torch_rng((config.trainer.seed, Stream.INIT)),
            device=resolve_device(config.trainer.device),
        )

    return RLExperiment(tasks=config.tasks, make_learner=make_learner, settings=config.rl)
