"""MAML on sinusoids (Finn et al. 2017, section 5.1): amplitude and phase from ten points.

Record: 5s mse 0.272 ± 0.097, 3.12 ± 0.33 before adaptation; 70,000 iterations, 7 minutes, 2 seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_with
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.maml import MAMLConfig, maml
from metarl.fewshot.nets.make import NetConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=70_000, meta_batch_size=25, log_every_iterations=500, checkpoint_every_iterations=5000
    )
    # the step size of the authors' code; 0.01 of the paper is better after one step and diverges after five on 5 points
    method: MAMLConfig = MAMLConfig(inner_lr=0.001, net=NetConfig(hidden=(40, 40), norm="none"))
    data: SinusoidConfig = SinusoidConfig()
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5s", "10s", "20s"), num_episodes=1000)


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(maml, Sinusoid(config.data), config)
