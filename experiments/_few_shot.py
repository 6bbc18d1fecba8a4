"""What every few-shot experiment's `build(config)` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from metarl.device import resolve_device
from metarl.experiment import TrainerConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.learner import FewShotLearner
from metarl.fewshot.source import EpisodeSource
from metarl.seeding import Stream, torch_rng


class Config(Protocol):
    @property
    def trainer(self) -> TrainerConfig: ...

    @property
    def method(self) -> Any: ...

    @property
    def evaluation(self) -> FewShotEvaluationConfig: ...


def build_with(method: Callable[..., FewShotLearner], source: EpisodeSource, config: Config) -> FewShotExperiment:
    """The experiment of `method(spec, config.method, generator=, device=)` on a source of episodes."""

    def make_learner() -> FewShotLearner:
        return method(
            source.spec,
            config.method,
            generator=torch_rng((config.trainer.seed, Stream.INIT)),
            device=resolve_device(config.trainer.device),
        )

    return FewShotExperiment(source=source, make_learner=make_learner, evaluation=config.evaluation)
