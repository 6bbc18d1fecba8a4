"""MAML on 2D navigation, the first experiment of the paper (Finn et al. 2017, section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

from agents.maml import MAMLConfig, maml
from envs.navigation import Navigation
from experiments._build import build_with
from experiments._navigation import ONE_STEP
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig


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
