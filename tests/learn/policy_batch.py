"""Random data to test inner loops and meta-steps of policies with."""

from __future__ import annotations

import torch
from torch import Tensor


def policy_batch(
    rng: torch.Generator, *, shape: tuple[int, int], obs_dim: int, action_dim: int, discrete: bool, scale: float = 1.0
) -> dict[str, Tensor]:
    """A batch of `shape` (tasks, steps) in float64, a part of the steps masked."""
    actions = (
        torch.randint(action_dim, shape, generator=rng)
        if discrete
        else torch.randn(*shape, action_dim, generator=rng, dtype=torch.float64)
    )
    return {
        "obs": torch.randn(*shape, obs_dim, generator=rng, dtype=torch.float64),
        "actions": actions,
        "advantages": scale * torch.randn(*shape, generator=rng, dtype=torch.float64),
        "mask": torch.rand(*shape, generator=rng) < 0.8,
    }
