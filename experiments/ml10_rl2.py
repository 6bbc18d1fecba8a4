"""RL² on Meta-World ML10: trials of ten episodes of ten kinds of task, tested on five others.

20M env steps. evaluation.json also has the success as metaworld counts it, which is what Meta-World+ publishes. ML25
and ML45: `--benchmark ML45 --meta-batch-size 45`.

Record: success 36% [30, 43], 32% [26, 39] before adaptation; 20.0M env steps, 49 minutes, 1 seed.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.agents.rl2 import RL2, RL2Config
from metarl.envs.metaworld.ml import ML
from metarl.experiment import Preset, RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._metaworld import build_ml
from metarl.experiments._presets import (
    GARAGE,
    METAWORLD_ALGORITHMS,
    ONE_TRIAL,
    RL2_GARAGE,
    RL2_GARAGE_DEVIATIONS,
    RL2_METAWORLD_ALGORITHMS,
    RL2_METAWORLD_ALGORITHMS_DEVIATIONS,
    rl2_trainer,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    # 200 updates of 20 trials x 10 episodes x 500 steps
    trainer: TrainerConfig = TrainerConfig(iterations=200, meta_batch_size=20)
    agent: RL2Config = RL2Config(
        hidden_dim=128,
        normalize_inputs=True,
        input_changes=True,
        lr=1e-3,
        epochs=8,
        entropy_coef=1e-3,
        anneal_updates=200,
    )
    tasks: ML = ML(benchmark="ML10")
    rl: RLSettings = ONE_TRIAL


def config() -> Config:
    return Config()


def build(config: Config) -> RLExperiment:
    return build_ml(RL2, config)


PRESETS = {
    "metaworld_algorithms": Preset(
        config=Config(trainer=rl2_trainer("ML10"), agent=RL2_METAWORLD_ALGORITHMS),
        source=METAWORLD_ALGORITHMS,
        deviations=RL2_METAWORLD_ALGORITHMS_DEVIATIONS,
    ),
    "metaworld_algorithms_ml45": Preset(
        config=Config(trainer=rl2_trainer("ML45"), agent=RL2_METAWORLD_ALGORITHMS, tasks=ML(benchmark="ML45")),
        source=METAWORLD_ALGORITHMS,
        deviations=RL2_METAWORLD_ALGORITHMS_DEVIATIONS,
    ),
    "garage": Preset(
        config=Config(trainer=TrainerConfig(iterations=10_000, meta_batch_size=10), agent=RL2_GARAGE),
        source=GARAGE,
        deviations=RL2_GARAGE_DEVIATIONS,
    ),
}
