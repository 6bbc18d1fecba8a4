"""E-MAML (credits exploration) on 2D navigation."""

from __future__ import annotations

from dataclasses import dataclass

from agents.e_maml import EMAMLConfig, e_maml
from envs.navigation import Navigation
from experiments._navigation import HIDDEN, RL, TRAINER, build_with
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TRAINER
    agent: EMAMLConfig = EMAMLConfig(hidden=HIDDEN)
    tasks: Navigation = Navigation()
    rl: RLSettings = RL


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(e_maml, config)
