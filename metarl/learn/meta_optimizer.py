"""Meta-optimizers: a step takes theta and RETURNS new parameters, so a rejected step has nothing to restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from metarl.learn.params import detach, flatten, is_finite, trainable, unflatten
from metarl.rl.distributions import ActionDistribution
from metarl.types import Metrics, Params


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) on a scalar objective of theta, with optional gradient clipping."""

    def __init__(
        self,
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        max_grad_norm: float | None = None,
    ) -> None:
        self.lr, self.betas, self.eps, self.max_grad_norm = lr, betas, eps, max_grad_norm
        self._moments: dict[str, Params] = {"first": {}, "second": {}}
        self._num_steps = 0

    def step(
        self,
        objective: Callable[[Params], Tensor],
        theta: Params,
        *,
        accepts: Callable[[], bool] = lambda: True,
    ) -> tuple[Params, Metrics]:
        """`accepts` is asked once the loss is known; where it does not, theta and the moments stay as they were."""
        theta = trainable(theta)
        loss = objective(theta)
        if not accepts():
            return detach(theta), {"meta_loss": float(loss.detach()), "grad_norm": 0.0, "meta_step_accepted": 0.0}
        grads = torch.autograd.grad(loss, list(theta.values()))
        return self.apply(dict(zip(theta, grads, strict=True)), theta, loss=float(loss.detach()))

    def apply(self, grads: Params, theta: Params, *, loss: float) -> tuple[Params, Metrics]:
        """The update from gradients already taken. A non-finite one leaves theta and the moments as they were."""
        norm = float(flatten(grads).norm())
        metrics = {"meta_loss": loss, "grad_norm": norm, "meta_step_accepted": 1.0}
        if not torch.isfinite(torch.tensor([norm, loss])).all():
            return detach(theta), metrics | {"meta_step_accepted": 0.0}
        scale = 1.0 if self.max_grad_norm is None else min(1.0, self.max_grad_norm / (norm + 1e-12))
        beta1, beta2 = self.betas
        self._num_steps += 1
        first, second, new = {}, {}, {}
        for name, p in theta.items():
            g = grads[name].detach() * scale
            # a checkpoint's moments come back on the CPU, wherever theta lives
            m, v = (self._moments[kind].get(name, torch.zeros_like(g)).to(g.device) for kind in ("first", "second"))
            first[name] = beta1 * m + (1 - beta1) * g
            second[name] = beta2 * v + (1 - beta2) * g.square()
            m_hat = first[name] / (1 - beta1**self._num_steps)
            v_hat = second[name] / (1 - beta2**self._num_steps)
            new[name] = p.detach() - self.lr * m_hat / (v_hat.sqrt() + self.eps)
        self._moments = {"first": first, "second": second}
        return new, metrics

    def state_dict(self) -> dict[str, Any]:
        return {"num_steps": self._num_steps, **self._moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._num_steps = state["num_steps"]
        self._moments = {"first": state["first"], "second": state["second"]}


class TrustRegionObjective(Protocol):
    """What a trust-region step needs to know of the problem; nothing of it is about RL or meta-learning."""

    def loss_and_kl(self, theta: Params) -> tuple[Tensor, Tensor]:
        """The loss, and the mean KL from the policy that theta is at now, both scalars."""
        ...

    def policy(self, theta: Params) -> tuple[ActionDistribution, Tensor]:
        """Differentiable action distributions, and the weight of each state in the mean KL (weights sum to 1)."""
        ...


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, *, iterations: int, residual_tolerance: float = 1e-10
) -> Tensor | None:
    """x with A x = b for symmetric positive definite A (Hestenes and Stiefel 1952).

    `residual_tolerance` is on |b - A x|^2 / |b|^2: a small gradient is no reason to stop. None where a direction
    of non-positive or non-finite curvature is met: sqrt of it would make NaN parameters.

    On a GPU nothing in the loop waits for a number: iterations behind the last one leave x as it is.
    """
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    squared = residual @ residual
    enough = residual_tolerance * squared
    is_good = torch.ones((), dtype=torch.bool, device=b.device)
    for _ in range(iterations):
        is_done = squared <= enough
        if b.device.type == "cpu" and (is_done or not is_good):
            break
        a_direction = product(direction)
        curvature = direction @ a_direction
        is_good = is_good & (is_done | (torch.isfinite(curvature) & (curvature > 0)))
        alpha = squared / curvature
        x = torch.where(is_done, x, x + alpha * direction)
        residual = torch.where(is_done, residual, residual - alpha * a_direction)
        squared, previous = residual @ residual, squared
        direction = residual + (squared / previous) * direction
    return x if is_good else None


def fisher_vector_product(objective: TrustRegionObjective, theta: Params) -> Callable[[Tensor], Tensor]:
    """v -> J' F J v, the exact Hessian of the mean KL at theta, J the Jacobian of the distributions' parameters.

    Equal to differentiating the KL twice, because its first derivative is zero there, at about half the time:
    the terms that autograd would multiply by that zero are never computed. J v is taken by differentiating
    u(w) = J' w with respect to w.
    """
    dist, weights = objective.policy(theta)
    outputs, leaves = tuple(dist), list(theta.values())
    cotangents = [torch.zeros_like(o, requires_grad=True) for o in outputs]
    pulled = torch.autograd.grad(outputs, leaves, grad_outputs=cotangents, create_graph=True)
    fixed = dist.detach()

    def product(v: Tensor) -> Tensor:
        tangent = torch.autograd.grad(
            pulled, cotangents, grad_outputs=list(unflatten(v, theta).values()), retain_graph=True
        )
        scaled = [f * weights.unsqueeze(-1) for f in fixed.fisher_product(fixed.with_parameters(*tangent))]
        back = torch.autograd.grad(outputs, leaves, grad_outputs=scaled, retain_graph=True)
        return torch.cat([g.reshape(-1) for g in back])

    return product


@dataclass(frozen=True, kw_only=True)
class TrustRegion:
    """One natural-gradient step with a backtracking line search on both loss and KL (Schulman et al. 2015, app. C)."""

    max_kl: float = 0.01
    """Nats per state."""
    cg_iterations: int = 10
    cg_damping: float = 1e-5
    backtrack_ratio: float = 0.8
    max_backtracks: int = 15

    def step(self, objective: TrustRegionObjective, theta: Params) -> tuple[Params, Metrics]:
        """New parameters, or theta itself, bit for bit, with `meta_step_accepted` 0 and the reason as a metric.

        The reasons, one of which is 1 after a rejection: `rejected_not_finite` (loss, gradient or
        curvature), `rejected_no_improvement` (the loss fell at no step length within the trust region).
        """
        start = detach(theta)
        theta = trainable(theta)
        loss, kl = objective.loss_and_kl(theta)
        gradient = flatten(dict(zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True)))
        metrics = {
            "meta_loss": float(loss.detach()),
            "grad_norm": float(gradient.norm()),
            "meta_step_accepted": 0.0,
            "rejected_not_finite": 0.0,
            "rejected_no_improvement": 0.0,
            "kl": 0.0,
            "backtracks": 0.0,
        }
        if not (torch.isfinite(loss) and torch.isfinite(gradient).all()):
            return start, metrics | {"rejected_not_finite": 1.0}
        if not gradient.any():  # as of a constant reward
            return start, metrics | {"rejected_no_improvement": 1.0}
        direction = self._direction(objective, theta, gradient)
        if direction is None:
            return start, metrics | {"rejected_not_finite": 1.0}
        loss_before = float(loss.detach())
        for backtracks in range(self.max_backtracks):
            step = self.backtrack_ratio**backtracks * direction
            candidate = {
                name: p + d for (name, p), d in zip(start.items(), unflatten(step, start).values(), strict=True)
            }
            with torch.no_grad():
                loss, kl = objective.loss_and_kl(candidate)
            if float(loss) < loss_before and float(kl) <= self.max_kl and is_finite(candidate):
                return candidate, metrics | {
                    "meta_step_accepted": 1.0,
                    "kl": float(kl),
                    "backtracks": float(backtracks),
                    "meta_loss_improvement": loss_before - float(loss),
                }
        return start, metrics | {"rejected_no_improvement": 1.0, "backtracks": float(self.max_backtracks)}

    def _direction(self, objective: TrustRegionObjective, theta: Params, gradient: Tensor) -> Tensor | None:
        """-sqrt(2 max_kl / g' F^-1 g) F^-1 g, or None where the curvature is degenerate."""
        fisher = fisher_vector_product(objective, theta)
        solution = conjugate_gradient(
            lambda v: fisher(v) + self.cg_damping * v, gradient, iterations=self.cg_iterations
        )
        if solution is None:
            return None
        curvature = solution @ (fisher(solution) + self.cg_damping * solution)
        if not torch.isfinite(curvature) or curvature <= 0:
            return None
        return -torch.sqrt(2 * self.max_kl / curvature) * solution

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """A trust region keeps nothing between steps."""


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """theta + meta_lr * mean_i(phi_i - theta): Reptile's outer step (Nichol et al. 2018, eq. 4)."""

    meta_lr: float

    def step(self, phis: Params, theta: Params) -> tuple[Params, Metrics]:
        """phis stacked along a leading B."""
        new = {name: p + self.meta_lr * (phis[name] - p).mean(0) for name, p in theta.items()}
        distance = flatten({name: new[name] - p for name, p in theta.items()}).norm()
        return detach(new), {"meta_step_norm": float(distance)}
