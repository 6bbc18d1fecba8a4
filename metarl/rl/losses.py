"""Policy losses over one task's (N, T) steps; each is a mean over valid steps, to be minimised."""

from __future__ import annotations

from torch import Tensor

from metarl.rl.returns import masked_mean


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """-E[log pi(a|s) A] (Williams 1992): its gradient is the policy gradient."""
    return -masked_mean(log_probs * advantages, mask)


def surrogate_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """-E[pi/pi_old A] (Schulman et al. 2015, eq. 14)."""
    # past-the-end steps have log_prob 0 on both sides, so their ratio stays finite
    ratio = ((log_probs - old_log_probs) * mask).exp()
    return -masked_mean(ratio * advantages, mask)


def clipped_surrogate_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, *, clip: float
) -> Tensor:
    """-E[min(r A, clip(r, 1 - clip, 1 + clip) A)], r = pi/pi_old (Schulman et al. 2017, eq. 7)."""
    ratio = ((log_probs - old_log_probs) * mask).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -masked_mean((ratio * advantages).minimum(clipped * advantages), mask)
