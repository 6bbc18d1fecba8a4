"""Multi-task PPO on 2D navigation: one policy for all goals, the baseline without adaptation."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.multi_task_ppo import PPOConfig, multi_task_ppo
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import NO_SUPPORT


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=120, meta_batch_size=20)
    agent: PPOConfig = PPOConfig(hidden=(32, 32), init_std=0.5, min_std=0.3, lr=1e-3)
    tasks: Navigation = Navigation()
    rl: RLSettings = NO_SUPPORT


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(multi_task_ppo, config)
