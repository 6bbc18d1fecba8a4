"""Meta-SGD (learned step sizes) on 2D navigation."""

from __future__ import annotations

from dataclasses import dataclass

from agents.meta_sgd import MetaSGDConfig, meta_sgd
from envs.navigation import Navigation
from experiments._navigation import HIDDEN, RL, TRAINER, build_with
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TRAINER
    agent: MetaSGDConfig = MetaSGDConfig(hidden=HIDDEN)
    tasks: Navigation = Navigation()
    rl: RLSettings = RL


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(meta_sgd, config)
