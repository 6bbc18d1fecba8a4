"""Reptile on 2D navigation."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.reptile import ReptileConfig, reptile
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import THREE_STEPS


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=120, meta_batch_size=20)
    agent: ReptileConfig = ReptileConfig(
        hidden=(32, 32), init_std=0.5, min_std=0.3, inner_steps=3, inner_lr=0.2, meta_lr=1.0
    )
    tasks: Navigation = Navigation()
    rl: RLSettings = THREE_STEPS


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(reptile, config)
