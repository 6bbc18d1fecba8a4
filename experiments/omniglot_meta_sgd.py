"""Meta-SGD on Omniglot 5-way 1-shot."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_with
from metarl.fewshot.data.omniglot import OmniglotConfig, omniglot
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.meta_sgd import MetaSGDConfig, meta_sgd


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=15_000, meta_batch_size=16, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: MetaSGDConfig = MetaSGDConfig(inner_lr=0.1, inner_steps=1, test_steps=(1,))
    data: OmniglotConfig = OmniglotConfig()
    episodes: EpisodeConfig = EpisodeConfig(ways=5, shots=1, queries=1)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s",))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(meta_sgd, omniglot(config.data, config.episodes), config)
