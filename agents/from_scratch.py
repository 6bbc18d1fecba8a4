"""No meta-training: PPO on a new task's support episodes from a random policy, with the same adaptation budget."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.fine_tune import FineTuneConfig
from metarl.agents.multi_task_ppo import MultiTaskPPO
from metarl.learner import CPU
from metarl.types import EnvSpec
from metarl.validate import Positive


@dataclass(frozen=True, kw_only=True)
class FromScratchConfig(FineTuneConfig):
    """Settings of an agent that learns each new task from random parameters."""

    lr: Positive = 3e-4  # of meta-training, which there is not: of no effect, and so not searched


def from_scratch(
    spec: EnvSpec, config: FromScratchConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> MultiTaskPPO:
    """An agent whose theta stays as it was drawn; what it scores, it has learned on the support episodes."""
    return MultiTaskPPO(spec, config, generator=generator, device=device, adaptation=config.adaptation, trained=False)
