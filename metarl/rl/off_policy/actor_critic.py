"""The nets of a soft actor-critic, each in a vector with its optimiser: actor, critics, their target, temperatures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learn.flat_params import FlatParams
from metarl.progress import tell_progress
from metarl.rl.off_policy.norm_mlp import init_norm_mlp
from metarl.rl.off_policy.replay import Transitions
from metarl.rl.off_policy.soft_q import Critic, actor_loss, critic_of, soft_target, temperature_loss, value_units
from metarl.rl.off_policy.squashed_policy import SquashedPolicy
from metarl.rl.off_policy.value_heads import ValueHead
from metarl.types import Metrics, Params


class ActorCritic:
    """Actor and critics see what `policy` sees, in whatever units the learner feeds."""

    def __init__(
        self,
        policy: SquashedPolicy,
        head: ValueHead,
        *,
        critic_hidden: Sequence[int],
        critics: int,
        gammas: Sequence[float],
        lr: float,
        dtype: torch.dtype,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.policy, self.head, self.dtype, self.device, self._lr = policy, head, dtype, device, lr
        self._num_hidden, self._num_discounts = len(critic_hidden), len(gammas)
        self._units = value_units(gammas).to(device)
        self.actor = FlatParams(policy.init(generator), lr=lr, device=device)
        outputs = head.first_bias().repeat(max(1, policy.heads) * len(gammas))
        sizes = (policy.obs_dim + policy.action_dim, *critic_hidden, len(outputs))
        critic = init_norm_mlp(sizes, generator, ensemble=critics, layer_norm=policy.layer_norm)
        critic[f"b{len(critic_hidden)}"] += outputs
        self.critic, self.target = (FlatParams(critic, lr=lr, device=device) for _ in range(2))
        self.log_alphas = self._temperatures(torch.zeros(0))

    def _temperatures(self, log_alpha: Tensor) -> FlatParams:
        return FlatParams({"log_alpha": log_alpha}, lr=self._lr, device=self.device)

    def add_temperatures(self, number: int, first: float) -> None:
        """For so many more groups; all of them then lose Adam's moments."""
        added = torch.full((number,), math.log(first))
        self.log_alphas = self._temperatures(torch.cat([self.log_alphas.copy()["log_alpha"], added]))

    def forget_temperatures(self) -> None:
        self.log_alphas = self._temperatures(torch.zeros(0))

    def alpha(self, groups: Tensor) -> Tensor:
        """Of each row, without a gradient."""
        return self.log_alphas.vector.detach().exp()[groups]

    def set_lr(self, lr: float) -> None:
        """Of actor and critics."""
        for net in (self.actor, self.critic):
            net.set_lr(lr)

    def target_of(self, batch: Transitions, *, noise: Tensor) -> Tensor:
        """What the critics are to say of the batch, by the target critics."""
        with torch.no_grad():
            return soft_target(
                batch,
                self._critic(self.target),
                self.policy.dist(self.actor.views(self.dtype), batch.next_obs.to(self.dtype)),
                self.head,
                noise=noise,
                alpha=self.alpha(batch.groups),
                units=self._units,
            )

    def outputs(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Of the critics, (E, B, D, K)."""
        return self._critic(self.critic)(obs, actions)

    def step_actor(
        self, obs: Tensor, groups: Tensor, *, noise: Tensor, target_entropy: float, by_least: bool = False
    ) -> dict[str, Tensor]:
        """One step of the actor and of the temperatures."""
        policy = self.policy.dist(self.actor.views(self.dtype), obs.to(self.dtype))
        critic, alpha = self._critic(self.critic, is_fixed=True), self.alpha(groups)
        loss, log_probs = actor_loss(obs, critic, policy, self.head, noise=noise, alpha=alpha, by_least=by_least)
        self.actor.step(loss)
        self.log_alphas.step(temperature_loss(self.log_alphas.vector, groups, log_probs, target_entropy=target_entropy))
        return {"entropy": -log_probs.mean(), "temperature": alpha.mean()}

    @torch.no_grad()
    def step_target(self, share: float) -> None:
        """Towards the critics."""
        self.target.vector.lerp_(self.critic.vector, share)

    def _critic(self, params: FlatParams, *, is_fixed: bool = False) -> Critic:
        views = params.views(self.dtype)
        return critic_of(
            P.detach(views) if is_fixed else views,
            num_hidden=self._num_hidden,
            dtype=self.dtype,
            heads=self.policy.heads,
            num_discounts=self._num_discounts,
        )

    def check_finite(self) -> None:
        """Raises NonFiniteError."""
        for part in (self.actor, self.critic, self.log_alphas):
            if not torch.isfinite(part.vector).all():
                raise NonFiniteError(f"the update gave non-finite parameters; lower lr={self._lr}")

    @property
    def _nets(self) -> dict[str, FlatParams]:
        return {"actor": self.actor, "critic": self.critic, "target": self.target, "temperature": self.log_alphas}

    @property
    def theta(self) -> Params:
        """Of all nets, named as in actor.w0."""
        return {f"{net}.{name}": p for net, flat in self._nets.items() for name, p in flat.copy().items()}

    @property
    def adam(self) -> dict[str, Any]:
        """The optimisers' state."""
        return {net: flat.state_dict() for net, flat in self._nets.items()}

    def load(self, theta: Params, adam: dict[str, Any]) -> None:
        """Raises UserError, and changes nothing, for a theta of other names or shapes; temperatures may be more."""
        scales = theta.get("temperature.log_alpha", torch.zeros(0))
        P.check_tensors_match(self.theta | {"temperature.log_alpha": scales}, theta, what="theta")
        self.log_alphas = self._temperatures(torch.zeros_like(scales))
        for net, flat in self._nets.items():
            flat.load({name.removeprefix(f"{net}."): p for name, p in theta.items() if name.startswith(f"{net}.")})
            flat.load_state_dict(adam[net])


def take_steps(number: int, gradient_step: Callable[[], dict[str, Tensor]]) -> Metrics:
    """So many gradient steps, and the mean of each number over those that have it."""
    history = []
    for step in range(number):  # hundreds, which may take minutes
        history.append(gradient_step())
        tell_progress((step + 1) / number)
    names = {name for row in history for name in row}
    return {name: float(torch.stack([row[name] for row in history if name in row]).mean()) for name in sorted(names)}
