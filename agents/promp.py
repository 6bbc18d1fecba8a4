"""ProMP, proximal meta-policy search (Rothfuss et al. 2018, algorithm 1 and eq. 12).

The inner loss is a ratio of probabilities: its gradient is the policy gradient, and its Hessian, which the
meta-gradient goes through, is an unbiased and less noisy estimate than that of the log-probability loss. The
meta-step is several steps of Adam on the clipped surrogate of the query, with a penalty on how far the
pre-update policies move from those that took the support episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from metarl.learn.gradient_learner import GradientLearner, MetaBatch
from metarl.learn.meta_optimizer import Adam
from metarl.learner import CPU
from metarl.rl.fast_weights import FastWeights, FastWeightsConfig, PolicyProblem, policy_learner
from metarl.rl.losses import clipped_surrogate_loss, surrogate_loss
from metarl.rl.policies import Policy
from metarl.rl.ppo import ratio_metrics
from metarl.rl.returns import masked_mean
from metarl.types import EnvSpec, Metrics, Params
from metarl.validate import Count, NotNegative, OpenShare, Positive, Search


@dataclass(frozen=True, kw_only=True)
class ProMPConfig(FastWeightsConfig):
    """Settings of ProMP: the inner loop's, and those of PPO's clipped outer steps."""

    lr: Annotated[Positive, Search(1e-4, 1e-2)] = 1e-3
    adam_steps: Count = 5
    """Of Adam on one meta-batch."""
    clip: Annotated[OpenShare, Search(0.1, 0.5, log=False)] = 0.3
    inner_kl_penalty: NotNegative = 5e-4


def ratio_loss(log_probs: Tensor, support: Mapping[str, Tensor]) -> Tensor:
    """-E[pi_theta / pi_old A]: the paper's J^LR, equal in gradient to the policy gradient where pi_theta = pi_old."""
    return surrogate_loss(log_probs, support["log_probs"], support["advantages"], support["mask"])


def inner_kl(policy: Policy, batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
    """Mean over rounds, tasks and support states of KL(old phi_k || phi_k), k < K."""
    kls = []
    for phi, old_phi, support in zip(phis, batch.old_phis, batch.supports, strict=False):
        kl = policy.dist(phi, support["obs"]).kl_from(policy.dist(old_phi, support["obs"]))
        kls.append(torch.func.vmap(masked_mean)(kl, support["mask"]))
    return torch.stack(kls).mean()


class ClippedAdam:
    """An OuterStep: `adam_steps` of Adam on clipped surrogate + penalty * inner KL."""

    def __init__(self, problem: PolicyProblem, config: ProMPConfig) -> None:
        self.policy, self.inner_loop, self.config = problem.policy, problem.inner_loop, config
        self._adam = Adam(lr=config.lr)

    def loss(self, batch: MetaBatch, theta: Params) -> Tensor:
        q = batch.query
        phis = self.inner_loop.path(theta, batch.supports)
        log_probs = self._log_probs(batch, phis)

        def task_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
            return clipped_surrogate_loss(log_probs, old_log_probs, advantages, mask, clip=self.config.clip)

        surrogate = torch.func.vmap(task_loss)(log_probs, q["log_probs"], q["advantages"], q["mask"]).mean()
        return surrogate + self.config.inner_kl_penalty * inner_kl(self.policy, batch, phis)

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        metrics: Metrics = {}
        accepted = 0.0
        for _ in range(self.config.adam_steps):
            theta, last = self._adam.step(lambda candidate: self.loss(batch, candidate), theta)
            metrics = metrics or last  # of the loss and gradient before any step, as the trust region gives them
            accepted += last["meta_step_accepted"]
        with torch.no_grad():
            phis = self.inner_loop.path(theta, batch.supports)
            log_probs = self._log_probs(batch, phis)
            kl = inner_kl(self.policy, batch, phis)
        moved = ratio_metrics(log_probs, batch.query["log_probs"], batch.query["mask"], clip=self.config.clip)
        return theta, metrics | {
            "meta_step_accepted": float(accepted == self.config.adam_steps),
            "inner_kl": float(kl),
            "clip_fraction": moved["clip_fraction"],
        }

    def _log_probs(self, batch: MetaBatch, phis: Sequence[Params]) -> Tensor:
        """Of the query's actions under the adapted policies, (B, M)."""
        return self.policy.dist(phis[-1], batch.query["obs"]).log_prob(batch.query["actions"])

    def state_dict(self) -> dict[str, Any]:
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._adam.load_state_dict(state)


def promp(
    spec: EnvSpec, config: ProMPConfig, *, generator: torch.Generator, device: torch.device = CPU
) -> GradientLearner[FastWeights]:
    """An agent by ProMP: MAML with likelihood ratios in the inner loss and PPO's clipping in the outer one."""
    return policy_learner(
        spec,
        config,
        lambda problem: ClippedAdam(problem, config),
        inner_loss=ratio_loss,
        generator=generator,
        device=device,
    )
