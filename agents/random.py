"""Uniformly random actions: the floor that every agent must leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from metarl.rollout.actor import UniformActor
from metarl.types import EnvSpec, Episodes, Metrics, Phi, TaskData


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """Nothing to set."""


class RandomAgent:
    """An RLMetaLearner that learns nothing, and its own behaviour: theta and phi are empty."""

    version = 0
    adaptation_rounds = 1
    keeps_memory = False

    def __init__(
        self,
        spec: EnvSpec,
        config: RandomConfig = RandomConfig(),
        *,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
    ) -> None:
        """All but `spec` is there to be called as every agent is."""
        self.spec = spec
        self._actor = UniformActor(action_dim=spec.action_dim, discrete=spec.discrete)

    def behaviour(self) -> RandomAgent:
        return self

    def actor(self, *, deterministic: bool = False) -> UniformActor:
        """Random either way."""
        return self._actor

    def prior(self) -> Phi:
        return {}

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Episodes]) -> list[Phi]:
        return list(phis)

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
