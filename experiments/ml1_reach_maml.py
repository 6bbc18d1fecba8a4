"""The main job: MAML on Meta-World ML1 reach, adapting to goals it has never seen.

Ten adaptation episodes in all, as in Meta-World's protocol, spent on two inner steps of five: one step of ten leaves
the mean action a few cm from some goals, and the second step corrects that (experiments/LOG.md). 2M env steps is the
published budget.

Record: success 100% [98, 100], 30% [13, 46] before adaptation; 2.0M env steps, 4 minutes, 3 seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.maml import MAMLConfig, maml
from metarl.envs.metaworld.ml1 import ML1
from metarl.experiment import Preset, RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._presets import (
    MAML_METAWORLD_ALGORITHMS,
    MAML_METAWORLD_ALGORITHMS_DEVIATIONS,
    METAWORLD_ALGORITHMS,
    TEN_EPISODES,
    maml_trainer,
)
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(iterations=20, meta_batch_size=10)
    agent: MAMLConfig = MAMLConfig(inner_steps=2)
    tasks: ML1 = ML1(env_name="reach-v3")
    rl: RLSettings = RLSettings(
        support_episodes=5,
        query_episodes=10,
        evaluation=EvaluationConfig(adaptation_rounds=2, adaptation_episodes=5, first_come_envs=10),
        # a support round is 10 tasks x 5 episodes: two groups of 25 lanes, one for each worker
        pool=PoolConfig(lanes_per_group=25),
    )


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_with(maml, config)


PRESETS = {
    "metaworld_algorithms": Preset(
        config=Config(trainer=maml_trainer("ML1"), agent=MAML_METAWORLD_ALGORITHMS, rl=TEN_EPISODES),
        source=METAWORLD_ALGORITHMS,
        deviations=MAML_METAWORLD_ALGORITHMS_DEVIATIONS,
    ),
}
