"""What every meta-RL experiment's `build(config)` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from metarl.experiment import RLExperiment, RLSettings, TrainerConfig, resolve_device
from metarl.learner import RLMetaLearner
from metarl.seeding import Stream, torch_rng
from metarl.tasks import TaskDistribution


class Config(Protocol):
    @property
    def trainer(self) -> TrainerConfig: ...

    @property
    def agent(self) -> Any: ...

    @property
    def tasks(self) -> TaskDistribution: ...

    @property
    def rl(self) -> RLSettings: ...


def build_with(agent: Callable[..., RLMetaLearner], config: Config, **more: Any) -> RLExperiment:
    """The experiment of `agent(spec, config.agent, generator=, device=)`; `more` is RLExperiment's."""

    def make_learner() -> RLMetaLearner:
        return agent(
            config.tasks.spec,
            config.agent,
            generator=torch_rng((config.trainer.seed, Stream.INIT)),
            device=resolve_device(config.trainer.device),
        )

    return RLExperiment(tasks=config.tasks, make_learner=make_learner, settings=config.rl, **more)
