"""Multi-task PPO, then PPO on each new goal, on 2D navigation: the transfer-learning baseline."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.fine_tune import FineTuneConfig, fine_tune
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import NO_SUPPORT


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=120, meta_batch_size=20)
    agent: FineTuneConfig = FineTuneConfig(hidden=(32, 32), init_std=0.5, min_std=0.3, lr=1e-3, adaptation_lr=1e-2)
    tasks: Navigation = Navigation()
    rl: RLSettings = NO_SUPPORT


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(fine_tune, config)
