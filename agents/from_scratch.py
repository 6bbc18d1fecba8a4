"""No meta-training: PPO on a new task's support episodes from a random policy, with the same adaptation budget."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.agents.fine_tune import FineTuneConfig
from metarl.agents.multi_task_ppo import CPU, MultiTaskPPO
from metarl.types import EnvSpec


@dataclass(frozen=True, kw_only=True)
class FromScratchConfig(FineTuneConfig):
    pass


def from_scratch(
    spec: EnvSpec, config: FromScratchConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> MultiTaskPPO:
    return MultiTaskPPO(spec, config, generator=generator, device=device, adaptation=config.adaptation, trained=False)
