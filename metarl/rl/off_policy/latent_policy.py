"""How an agent with a belief over the task acts: a latent for each episode, drawn from what is believed by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.learner import ActorInput
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.off_policy.belief import Belief, context_of, factors, prior, product
from metarl.rl.off_policy.replay import check_episodes
from metarl.rl.off_policy.squashed_policy import SquashedPolicy
from metarl.types import EnvSpec, Episodes, Params, stack_episodes

Latents = tuple[Tensor, Belief]
"""Each lane's z, and what it is drawn from, (L, Z) each."""


class LatentActor:
    """Acts by pi(a | s, z). z is drawn from phi's belief at the beginning of each episode and kept for all of it, which
    explores as one guess at a time would (posterior sampling, Thompson 1933); the deterministic one takes its mean."""

    uniform_noise = False

    def __init__(
        self,
        policy: SquashedPolicy,
        theta: Params,
        *,
        latent_dim: int,
        deterministic: bool = False,
        noise_exponent: float = 0.0,
    ) -> None:
        self.policy, self.theta, self.episode_noise_dim = policy, theta, latent_dim
        self.deterministic, self.noise_exponent = deterministic, noise_exponent

    @property
    def noise_dim(self) -> int:
        return 0 if self.deterministic else self.policy.action_dim

    def start(self, phis: Sequence[Params], lanes_per_job: int) -> Latents:
        of_jobs = [torch.stack([phi[name] for phi in phis]) for name in Belief._fields]
        belief = Belief(*(x.repeat_interleave(lanes_per_job, 0) for x in of_jobs))
        return belief.mean, belief

    def begin(self, memory: Latents, lanes: Tensor, noise: Tensor) -> Latents:
        z, belief = memory
        if self.deterministic:
            return memory
        return z.index_copy(0, lanes, Belief(*(x[lanes] for x in belief)).sample(noise)), belief

    def act(self, memory: Latents, inputs: ActorInput, noise: Tensor) -> tuple[Tensor, Tensor, Latents]:
        dist = self.policy.dist(self.theta, torch.cat([inputs.obs, memory[0]], -1))
        return *dist.act(noise, deterministic=self.deterministic), memory


@dataclass(frozen=True)
class LatentBehaviour:
    """An RLBehaviour whose phi is a belief: `adapt` multiplies it by the factors of the new transitions. Both nets take
    what was really seen, unscaled."""

    spec: EnvSpec
    policy: SquashedPolicy
    actor_theta: Params
    encoder_theta: Params
    encoder_hidden: int
    """Hidden layers of the encoder."""
    latent_dim: int
    version: int
    adaptation_rounds: int = 1
    exploration: ExplorationConfig = ExplorationConfig()
    keeps_memory = False

    def prior(self) -> Params:
        return prior(self.latent_dim)._asdict()

    @torch.no_grad()
    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        check_episodes(supports)
        return [
            product(self._factors(support), support.mask.flatten(), start=Belief(**phi))._asdict()
            for phi, support in zip(phis, supports, strict=True)
        ]

    def _factors(self, episodes: Episodes) -> Belief:
        """Of all steps of a task's episodes, (N T, Z)."""
        context = context_of(stack_episodes([episodes]))[0].flatten(0, 1)
        return factors(self.encoder_theta, context, num_hidden=self.encoder_hidden)

    @torch.no_grad()
    def memories(self, trials: Sequence[Episodes]) -> list[Tensor]:
        """Mean and std of the belief after every step of a trial, (steps, 2 Z)."""
        found = []
        for trial in trials:
            of_each = self._factors(trial)
            steps = trial.mask.flatten()
            first = prior(self.latent_dim)
            belief = Belief(*(begin + x[steps].cumsum(0) for begin, x in zip(first, of_each, strict=True)))
            found.append(torch.cat([belief.mean, belief.std], -1))
        return found

    def actor(self, *, deterministic: bool = False) -> LatentActor:
        return LatentActor(self.policy, self.actor_theta, latent_dim=self.latent_dim, deterministic=deterministic)

    def explorer(self) -> LatentActor:
        exponent = self.exploration.exponent_at(self.version)
        return LatentActor(self.policy, self.actor_theta, latent_dim=self.latent_dim, noise_exponent=exponent)
