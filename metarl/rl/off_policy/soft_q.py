"""Soft actor-critic's three losses (Haarnoja et al. 2018, section 4.2), as functions of tensors.

alpha is each row's own: the temperature of the task that the transition is of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metarl.rl.off_policy.norm_mlp import norm_mlp, own_head
from metarl.rl.off_policy.replay import Transitions
from metarl.rl.off_policy.squashed_gaussian import SquashedGaussian
from metarl.rl.off_policy.value_heads import ValueHead
from metarl.types import Params

Critic = Callable[[Tensor, Tensor], Tensor]
"""obs (B, O), actions (B, A) -> outputs (E, B, K) of E critics."""


def critic_of(params: Params, *, num_hidden: int, dtype: torch.dtype, heads: int = 0) -> Critic:
    """The ensemble with these parameters; outputs are float32. `heads`: see `own_head`."""

    def outputs(obs: Tensor, actions: Tensor) -> Tensor:
        of_all = norm_mlp(params, torch.cat([obs, actions], -1).to(dtype), num_hidden)
        return own_head(of_all, obs, heads).float()

    return outputs


@torch.no_grad()
def soft_target(
    batch: Transitions, critic: Critic, policy: SquashedGaussian, head: ValueHead, *, noise: Tensor, alpha: Tensor
) -> Tensor:
    """G + discount (Q(s', a') - alpha log pi(a' | s')) with a' ~ pi, as the head's target; `policy` is that of s'."""
    actions, log_probs = policy.sample_with_log_prob(noise)
    return head.target(
        critic(batch.next_obs, actions), batch.returns - batch.discounts * alpha * log_probs, batch.discounts
    )


def actor_loss(
    obs: Tensor,
    critic: Critic,
    policy: SquashedGaussian,
    head: ValueHead,
    *,
    noise: Tensor,
    alpha: Tensor,
    by_least: bool = False,
) -> tuple[Tensor, Tensor]:
    """E[alpha log pi(a | s) - Q(s, a)] with the mean of the critics, or the least, and the log-densities (B,)."""
    actions, log_probs = policy.sample_with_log_prob(noise)
    values = head.values(critic(obs, actions))
    q = values.amin(0) if by_least else values.mean(0)
    return (alpha * log_probs - q).mean(), log_probs.detach()


def temperature_loss(log_alphas: Tensor, groups: Tensor, log_probs: Tensor, *, target_entropy: float) -> Tensor:
    """Falls where the temperature rises if the entropy is below its target; each group has its own, (G,)."""
    return -(log_alphas.exp()[groups] * (log_probs + target_entropy)).mean()
