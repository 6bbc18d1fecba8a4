"""ANIL (adapts the last layer only) on 2D navigation."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.anil import ANILConfig, anil
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import THREE_STEPS


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=120, meta_batch_size=20)
    agent: ANILConfig = ANILConfig(
        hidden=(32, 32), init_std=0.5, min_std=0.3, inner_steps=3, max_kl=0.03, fisher_stride=10, judge_every_step=True
    )
    tasks: Navigation = Navigation()
    rl: RLSettings = THREE_STEPS


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(anil, config)
