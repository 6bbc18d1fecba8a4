"""The data that flows between environments, learners and the trainer.

Legend of dimensions, used in every docstring:

    B  tasks of a meta-batch          N  episodes (or examples) of one task
    T  time steps, padded to the horizon, or to the longest episode where the horizon is far
    O  observation size               A  action size (absent for discrete actions)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""Parameters by name: theta, or one task's phi, or phis of many tasks stacked along a leading B."""

Phi = Any
"""What adaptation to one task produces: fast weights (MAML), memory (RL²), prototypes (few-shot)."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Task:
    """One task as plain JSON-able values: never a live environment, never pickled bytes."""

    id: str
    params: Mapping[str, Any]
    stratum: str = ""
    """Its class, where the distribution has several (a Meta-World env's name): held-out tasks are taken evenly from the
    classes, and intervals are drawn within them."""


FAR_STEPS = 1024
"""From here on a horizon may stand for none: arrays have so many steps at first, and more where an episode has."""


@dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """What every task of a distribution has in common."""

    obs_dim: int
    action_dim: int
    """Size of a continuous action, or the number of discrete actions."""
    discrete: bool = False
    horizon_steps: int
    """No episode is longer; at this step it is truncated."""
    measures_success: bool | None = None
    """Whether an episode's success says anything; None where only the episodes tell, as with an env of your own."""
    picture: tuple[int, int, int] | None = None
    """(height, width, channels) of observations that are pictures, flattened with the channels last, pixels 0 to 1."""

    @property
    def first_steps(self) -> int:
        """That arrays have room for before any episode was longer."""
        return min(self.horizon_steps, FAR_STEPS)


@dataclass(frozen=True)
class Episodes:
    """N episodes of one task, each padded with zeros to T steps; every field is a tensor.

    A stack of B tasks has the same fields with a leading B (see `stack_episodes`).
    """

    obs: Tensor  # (N, T, O) what the policy saw before each action
    actions: Tensor  # (N, T, A) float, or (N, T) int64
    rewards: Tensor  # (N, T)
    log_probs: Tensor  # (N, T) of the action under the policy that took it
    terminated: Tensor  # (N, T) bool: the task ended here, nothing follows
    truncated: Tensor  # (N, T) bool: a time limit cut the episode here; bootstrap from last_obs
    success: Tensor  # (N, T) bool: the task's own success signal at each step
    mask: Tensor  # (N, T) bool: False after the end of an episode
    last_obs: Tensor  # (N, O) the observation after the last step

    @property
    def num_steps(self) -> int:
        """Environment steps really taken (padding not counted)."""
        return int(self.mask.sum())

    @property
    def kept(self) -> Tensor:
        """False for an episode that was left out for a NaN (`drop_episode`) and so has no step, (..., N) bool."""
        return self.mask.any(-1)

    def returns_undiscounted(self) -> Tensor:
        """Sum of rewards of each episode, (..., N)."""
        return (self.rewards * self.mask).sum(-1)

    def success_any(self) -> Tensor:
        """Success at any step of the episode (Meta-World's definition), (..., N) bool."""
        return (self.success & self.mask).any(-1)

    def steps_to_success(self) -> Tensor:
        """Steps up to and including the first success, 0 without one, (..., N) int64."""
        succeeded = self.success & self.mask
        return torch.where(succeeded.any(-1), succeeded.long().argmax(-1) + 1, 0)

    def success_last(self) -> Tensor:
        """Success at the last step of the episode, (..., N) bool."""
        last = self.mask.long().cumsum(-1).argmax(-1, keepdim=True)
        return (self.success & self.mask).gather(-1, last).squeeze(-1)


@dataclass(frozen=True)
class TaskData:
    """One task's share of a meta-batch: a support set for each inner step, and the query set behind the meta-loss."""

    task: Task
    supports: tuple[Any, ...]
    query: Any
    behaviour: Any = None
    """What took the data, a `metarl.learner.Behaviour`: old phis and log-probabilities are its own, not those of the
    theta that learns from them. None for data that depend on no theta."""


def stack_episodes(episodes: Sequence[Episodes]) -> Episodes:
    """Fields with a leading B from B tasks' episodes of equal N, padded to the largest T."""
    return Episodes(**{name: torch.stack(tensors) for name, tensors in _padded(episodes).items()})


def join_episodes_of_task(episodes: Sequence[Episodes]) -> Episodes:
    """All episodes of one task as one set, N = N_1 + N_2 + ..., padded to the largest T."""
    return Episodes(**{name: torch.cat(tensors) for name, tensors in _padded(episodes).items()})


def _padded(episodes: Sequence[Episodes]) -> dict[str, list[Tensor]]:
    """Each field of all of them, (N, T, ...) with one T, and last_obs."""
    steps = max(e.mask.shape[1] for e in episodes)

    def padded(x: Tensor) -> Tensor:
        missing = steps - x.shape[1]
        return x if missing == 0 else torch.cat([x, x.new_zeros(len(x), missing, *x.shape[2:])], dim=1)

    names = [field.name for field in dataclasses.fields(Episodes)]
    return {
        name: [getattr(e, name) if name == "last_obs" else padded(getattr(e, name)) for e in episodes] for name in names
    }
