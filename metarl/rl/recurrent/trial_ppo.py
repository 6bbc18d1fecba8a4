"""PPO (Schulman et al. 2017) on trials cut into chunks: epochs over minibatches of whole trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.learn.gradient_cosine import gradient_cosine
from metarl.learn.meta_optimizer import Adam
from metarl.rl.losses import clipped_surrogate_loss
from metarl.rl.ppo import ratio_metrics
from metarl.rl.recurrent.chunks import Chunks
from metarl.rl.recurrent.recurrent_policy import NOT_LEARNED, RecurrentPolicy
from metarl.rl.returns import masked_mean
from metarl.types import Metrics, Params


@dataclass(frozen=True, kw_only=True)
class TrialPPO:
    """PPO on whole trials, backpropagated through the memory."""

    policy: RecurrentPolicy
    clip: float
    entropy_coef: float
    value_coef: float
    max_kl: float | None
    """Stop where a minibatch's KL from the policy that collected exceeds this; None: never."""

    def optimize(
        self, optimizer: Adam, chunks: Chunks, theta: Params, minibatches: Iterable[Tensor]
    ) -> tuple[Params, list[Metrics], bool]:
        """theta after a step on each minibatch (rows of trials), metrics a step, and whether max_kl ended it."""
        history: list[Metrics] = []
        fixed = {name: p for name, p in theta.items() if name in NOT_LEARNED}
        theta = {name: p for name, p in theta.items() if name not in fixed}
        for rows in minibatches:
            loss = _Loss(self, chunks.of_trials(rows), fixed)
            theta, step = optimizer.step(loss, theta, accepts=lambda loss=loss: not self._is_too_far(loss.metrics))
            if self._is_too_far(loss.metrics):
                return theta | fixed, history, True  # the step after the one that went too far is the first not taken
            history.append(step | loss.metrics)
        return theta | fixed, history, False

    def _is_too_far(self, metrics: Metrics) -> bool:
        return self.max_kl is not None and metrics["kl"] > self.max_kl

    def task_cosine(self, chunks: Chunks, theta: Params) -> float:
        """Mean cosine between the gradients of different trials at theta."""
        fixed = {name: p for name, p in theta.items() if name in NOT_LEARNED}
        learned = {name: p for name, p in theta.items() if name not in fixed}

        def loss_of(theta: Params, trial: int) -> Tensor:
            return _Loss(self, chunks.of_trials(torch.tensor([trial], device=chunks.mask.device)), fixed)(theta)

        return gradient_cosine(loss_of, learned, chunks.mask.shape[1])


class _Loss:
    """PPO's loss of one minibatch as a function of theta; keeps the diagnostics of its last call."""

    def __init__(self, ppo: TrialPPO, chunks: Chunks, fixed: Params) -> None:
        self.ppo, self.chunks, self.fixed = ppo, chunks, fixed
        self.metrics: Metrics = {}

    def __call__(self, theta: Params) -> Tensor:
        c, policy, theta = self.chunks, self.ppo.policy, theta | self.fixed
        outputs, _ = policy.sequence(theta, c.inputs, c.states)
        dist = policy.dist(theta, outputs)
        log_probs = dist.log_prob(c.actions)
        surrogate = clipped_surrogate_loss(log_probs, c.log_probs, c.advantages, c.mask, clip=self.ppo.clip)
        loss = surrogate - self.ppo.entropy_coef * masked_mean(dist.entropy(), c.mask)
        self.metrics = ratio_metrics(log_probs.detach(), c.log_probs, c.mask, clip=self.ppo.clip)
        self.metrics["surrogate"] = float(surrogate.detach())
        if policy.value_head:
            value_loss = masked_mean((policy.value(theta, outputs) - c.targets).square(), c.mask)
            loss = loss + self.ppo.value_coef * value_loss
            self.metrics["value_loss"] = float(value_loss.detach())
        return loss
