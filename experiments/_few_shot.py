"""What every few-shot experiment's `build(config)` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from metarl.errors import UserError
from metarl.experiment import TrainerConfig, resolve_device
from metarl.fewshot.data.source import EpisodeSource
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.learner import FewShotLearner
from metarl.fewshot.methods.reptile import ReptileConfig
from metarl.fewshot.registry import METHODS
from metarl.seeding import Stream, torch_rng

Method = Literal[
    "maml",
    "anil",
    "meta_sgd",
    "reptile",
    "prototypical",
    "matching",
    "siamese",
    "relation",
    "ridge",
    "transfer",
    "nearest_centroid",
]


class Config(Protocol):
    @property
    def trainer(self) -> TrainerConfig: ...

    @property
    def method(self) -> Any: ...

    @property
    def evaluation(self) -> FewShotEvaluationConfig: ...


@dataclass(frozen=True)
class Chosen:
    """The part of a Config that the one method chosen sees."""

    trainer: TrainerConfig
    method: object
    evaluation: FewShotEvaluationConfig


def build_with(method: Callable[..., FewShotLearner], source: EpisodeSource, config: Config) -> FewShotExperiment:
    """The experiment of `method(spec, config.method, generator=, device=)` on a source of episodes."""

    _check_anneals(config)

    def make_learner() -> FewShotLearner:
        return method(
            source.spec,
            config.method,
            generator=torch_rng((config.trainer.seed, Stream.INIT)),
            device=resolve_device(config.trainer.device),
        )

    return FewShotExperiment(
        source=source, make_learner=make_learner, evaluation=config.evaluation, method_config=config.method
    )


class ConfigOfAnyMethod(Protocol):
    @property
    def trainer(self) -> TrainerConfig: ...

    @property
    def method(self) -> Method: ...

    @property
    def methods(self) -> Any:
        """A dataclass with the settings of each method, by its name."""
        ...

    @property
    def evaluation(self) -> FewShotEvaluationConfig: ...


def build_chosen(source: EpisodeSource, config: ConfigOfAnyMethod) -> FewShotExperiment:
    """The experiment of the one method that the config names, of those that it has settings for."""
    chosen = Chosen(config.trainer, vars(config.methods)[config.method], config.evaluation)
    return build_with(METHODS[config.method].build, source, chosen)


def test_suites(evaluation: FewShotEvaluationConfig) -> tuple[str, ...]:
    """Those that are asked of the classes of the test."""
    return evaluation.suites if evaluation.held_out == "test" else ()


def _check_anneals(config: Config) -> None:
    """Raises UserError where Reptile's theta would stand still before the end of the run."""
    if isinstance(config.method, ReptileConfig) and config.trainer.iterations > config.method.meta_lr_iterations:
        raise UserError(
            f"meta_lr_iterations={config.method.meta_lr_iterations} must be >= the {config.trainer.iterations} "
            "iterations, because theta stands still once meta_lr is 0; give --meta-lr-iterations as many"
        )
