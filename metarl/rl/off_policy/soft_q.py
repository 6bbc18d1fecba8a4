"""Soft actor-critic's three losses (Haarnoja et al. 2018, section 4.2), as functions of tensors.

alpha is each row's own: the temperature of the task that the transition is of.

A critic may say the value for several discount factors at once (Fedus et al. 2019). The policy goes up that of the
first; the others share the hidden layers, which then learn of nearer or farther rewards too. The value for gamma_d is
learned times (1 - gamma_d) / (1 - gamma_0), its unit, so that all have one range and one head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metarl.rl.off_policy.norm_mlp import norm_mlp, own_head
from metarl.rl.off_policy.replay import Transitions
from metarl.rl.off_policy.squashed_gaussian import SquashedGaussian
from metarl.rl.off_policy.value_heads import ValueHead
from metarl.types import Params

Critic = Callable[[Tensor, Tensor], Tensor]
"""obs (B, O), actions (B, A) -> outputs (E, B, D, K) of E critics for D discount factors."""


def value_units(gammas: Sequence[float]) -> Tensor:
    """(D,), 1 for the first."""
    return torch.tensor([(1 - gamma) / (1 - gammas[0]) for gamma in gammas])


def critic_of(params: Params, *, num_hidden: int, dtype: torch.dtype, heads: int = 0, num_discounts: int = 1) -> Critic:
    """The ensemble with these parameters; outputs are float32. `heads`: see `own_head`."""

    def outputs(obs: Tensor, actions: Tensor) -> Tensor:
        of_all = norm_mlp(params, torch.cat([obs, actions], -1).to(dtype), num_hidden)
        return own_head(of_all, obs, heads).unflatten(-1, (num_discounts, -1)).float()

    return outputs


@torch.no_grad()
def soft_target(
    batch: Transitions,
    critic: Critic,
    policy: SquashedGaussian,
    head: ValueHead,
    *,
    noise: Tensor,
    alpha: Tensor,
    units: Tensor,
) -> Tensor:
    """G + discount (Q(s', a') - alpha log pi(a' | s')) with a' ~ pi, as the head's target; `policy` is that of s'.

    units: `value_units` of the D discount factors, of which batch's returns and discounts are, (B, D).
    """
    actions, log_probs = policy.sample_with_log_prob(noise)
    entropy_lost = batch.discounts * alpha.unsqueeze(1) * log_probs.unsqueeze(1)
    return head.target(critic(batch.next_obs, actions), (batch.returns - entropy_lost) * units, batch.discounts)


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
    values = head.values(critic(obs, actions)[:, :, 0])
    q = values.amin(0) if by_least else values.mean(0)
    return (alpha * log_probs - q).mean(), log_probs.detach()


def temperature_loss(log_alphas: Tensor, groups: Tensor, log_probs: Tensor, *, target_entropy: float) -> Tensor:
    """Falls where the temperature rises if the entropy is below its target; each group has its own, (G,)."""
    return -(log_alphas.exp()[groups] * (log_probs + target_entropy)).mean()
