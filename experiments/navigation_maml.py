"""MAML on 2D navigation, the first experiment of the paper (Finn et al. 2017, section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.maml import MAMLConfig, maml
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import ONE_STEP


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=100, meta_batch_size=20)
    agent: MAMLConfig = MAMLConfig(hidden=(100, 100))
    tasks: Navigation = Navigation()
    rl: RLSettings = ONE_STEP


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(maml, config)
