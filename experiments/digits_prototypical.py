"""Prototypical networks on scikit-learn's digits: the smallest few-shot experiment, which needs no data file.

Record: 5w1s accuracy 59.13 ± 0.76 %; 300 iterations, less than a minute, 1 seed.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_with
from metarl.fewshot.data.digits import DigitsConfig, digits
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.prototypical import PrototypicalConfig, prototypical
from metarl.fewshot.nets.make import NetConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=300, meta_batch_size=2, log_every_iterations=10, checkpoint_every_iterations=100
    )
    method: PrototypicalConfig = PrototypicalConfig(net=NetConfig(filters=32, layers=3, pool="max"))
    data: DigitsConfig = DigitsConfig(canvas=12)
    episodes: EpisodeConfig = EpisodeConfig(ways=10, shots=1, queries=10)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s", "10w1s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(prototypical, digits(config.data, config.episodes), config)
