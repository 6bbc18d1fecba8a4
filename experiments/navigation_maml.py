"""MAML on 2D navigation, the first experiment of the paper (Finn et al. 2017, section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

from agents.maml import MAML, MAMLConfig
from envs.navigation import Navigation
from metarl.device import resolve_device
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.rollout.pool import PoolConfig
from metarl.seeding import Stream, torch_rng


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=100, meta_batch_size=20)
    agent: MAMLConfig = MAMLConfig(hidden=(100, 100))
    tasks: Navigation = Navigation()
    rl: RLSettings = RLSettings(
        support_episodes=20,
        query_episodes=20,
        evaluation=EvaluationConfig(adaptation_episodes=20, test_episodes=20, adaptation_rounds=3),
        # one NumPy call steps all lanes: more lanes are nearly free, more processes are not
        pool=PoolConfig(workers=0, lanes_per_group=400),
    )


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    def make_learner() -> MAML:
        return MAML(
            config.tasks.spec,
            config.agent,
            generator=torch_rng((config.trainer.seed, Stream.INIT)),
            device=resolve_device(config.trainer.device),
        )

    return RLExperiment(tasks=config.tasks, make_learner=make_learner, settings=config.rl)
