"""Meta-World's protocol for its benchmarks of several classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from metarl.experiment import RLExperiment
from metarl.experiments._build import build_with
from metarl.learner import RLMetaLearner

FIRST_COME_ENVS = {"ML10": 4, "ML25": 10, "ML45": 9}
"""Environments of a test class that metaworld's own evaluator steps together: its meta_batch_size over 5 classes."""
FIRST_COME_TRAINING_ENVS = {"ML10": 2, "ML25": 2, "ML45": 1}
"""And of a training class: the same over 10, 25 and 45."""


def build_ml(agent: Callable[..., RLMetaLearner], config: Any) -> RLExperiment:
    """`build_with`, where `config.tasks` is an ML; what its benchmark asks of the evaluation is filled in."""
    evaluation = dataclasses.replace(
        config.rl.evaluation,
        also_without=tuple(config.tasks.overlapping_classes()),
        first_come_envs=config.rl.evaluation.first_come_envs or FIRST_COME_ENVS.get(config.tasks.benchmark),
        first_come_training_envs=FIRST_COME_TRAINING_ENVS.get(config.tasks.benchmark),
    )
    rl = dataclasses.replace(config.rl, evaluation=evaluation)
    return build_with(agent, dataclasses.replace(config, rl=rl))
