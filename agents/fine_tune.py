"""Transfer learning: multi-task PPO in meta-training, then PPO on a new task's support episodes.

The baseline that every meta-learner has to beat with the same adaptation episodes: it learns no initialisation made
for adapting, only one that is good on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from metarl.agents.multi_task_ppo import MultiTaskPPO, PPOAdaptation, PPOConfig
from metarl.learner import CPU
from metarl.types import EnvSpec
from metarl.validate import Count, Positive, Search


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(PPOConfig):
    """Settings of PPO over all tasks, and of the Adam that fine-tunes on a new one."""

    adaptation_lr: Annotated[Positive, Search(1e-4, 1e-1)] = 1e-3
    adaptation_epochs: Count = 20
    """Full-batch steps of Adam on one round's support episodes."""

    @property
    def adaptation(self) -> PPOAdaptation:
        return PPOAdaptation(lr=self.adaptation_lr, epochs=self.adaptation_epochs)


def fine_tune(
    spec: EnvSpec, config: FineTuneConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> MultiTaskPPO:
    """An agent trained on all tasks at once that adapts by further PPO on the support episodes."""
    return MultiTaskPPO(spec, config, generator=generator, device=device, adaptation=config.adaptation)
