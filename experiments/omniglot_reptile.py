"""Reptile on Omniglot 5-way, trained on 10 examples a class."""

from __future__ import annotations

from dataclasses import dataclass

from experiments._few_shot import build_with
from metarl.experiment import TrainerConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.nets import NetConfig
from metarl.fewshot.omniglot import OmniglotConfig, omniglot
from metarl.fewshot.reptile import ReptileConfig, reptile
from metarl.fewshot.source import EpisodeConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=20_000, meta_batch_size=5, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: ReptileConfig = ReptileConfig(meta_lr_iterations=20_000, net=NetConfig(flatten=True))
    data: OmniglotConfig = OmniglotConfig()
    episodes: EpisodeConfig = EpisodeConfig(ways=5, shots=5, queries=5)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(
        suites=("5w1s", "5w5s"), modes=("inductive", "single", "transductive")
    )


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(reptile, omniglot(config.data, config.episodes), config)
