"""The transfer baseline on Omniglot: a classifier of all training characters, then nearest class means."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_with
from metarl.fewshot.data.omniglot import OmniglotConfig, omniglot
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.transfer import TransferConfig, transfer
from metarl.fewshot.nets.make import NetConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=6000, meta_batch_size=1, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: TransferConfig = TransferConfig(lr_halve_every_iterations=1500, net=NetConfig(flatten=True))
    data: OmniglotConfig = OmniglotConfig()
    episodes: EpisodeConfig = EpisodeConfig(ways=60, shots=1, queries=3)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s", "20w1s", "20w5s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(transfer, omniglot(config.data, config.episodes), config)
