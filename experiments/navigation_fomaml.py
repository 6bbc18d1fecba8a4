"""First-order MAML on 2D navigation."""

from __future__ import annotations

from dataclasses import dataclass

from agents.fomaml import FOMAMLConfig, fomaml
from envs.navigation import Navigation
from experiments._navigation import HIDDEN, RL, TRAINER, build_with
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TRAINER
    agent: FOMAMLConfig = FOMAMLConfig(hidden=HIDDEN)
    tasks: Navigation = Navigation()
    rl: RLSettings = RL


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(fomaml, config)
