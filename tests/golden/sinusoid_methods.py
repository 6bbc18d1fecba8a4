"""Regression of a sine by any gradient method."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_chosen
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.registry import METHODS

_SMALL_STEPS = {"inner_lr": 0.01}  # the default, made for classes, diverges on a sine
_CONFIGS = {
    name: replace(entry.config, **({} if name == "reptile" else _SMALL_STEPS))
    for name, entry in METHODS.items()
    if entry.regression
}
MethodConfigs = make_dataclass(
    "MethodConfigs",
    [(name, type(config), field(default=config)) for name, config in _CONFIGS.items()],
    frozen=True,
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig()
    method: str = "maml"
    methods: MethodConfigs = MethodConfigs()
    data: SinusoidConfig = SinusoidConfig()
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5s",))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_chosen(Sinusoid(config.data), config)
