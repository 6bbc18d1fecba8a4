"""PEARL (Rakelly et al. 2019): soft actor-critic from replay, given a belief over what sets the task apart.

1. An encoder makes of each transition of a task a Gaussian factor over a latent z; their product is the belief.
2. Actor and critics see z beside the observation. The critics' loss is what trains the encoder, with the belief's
   KL divergence from the prior as a bottleneck.
3. Of a new task, the first episodes act by z from the prior, and later ones by z from the belief: exploration by
   posterior sampling. Nothing but the belief changes while a task is adapted to.

Ours differs from the paper: the prior is a factor of the product; the encoder is also fed how observation and reward
changed; contexts are of 1 to `context_steps` transitions of one visit to a task, of all its episodes half the time;
and the critics are those of our SAC (two of them, values over bins, n-step returns, a temperature that is learned).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.learn import params as P
from metarl.learn.flat_params import FlatParams, step_together
from metarl.learner import CPU
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.normalizers import mean_and_std, sums
from metarl.rl.off_policy.actor_critic import ActorCritic, take_steps
from metarl.rl.off_policy.belief import Belief, context_dim, context_of, factors, prior, product
from metarl.rl.off_policy.latent_policy import LatentBehaviour
from metarl.rl.off_policy.norm_mlp import init_norm_mlp
from metarl.rl.off_policy.precision import Precision, dtype_of
from metarl.rl.off_policy.replay import check_episodes
from metarl.rl.off_policy.squashed_policy import SquashedPolicy, fold_scales
from metarl.rl.off_policy.task_scales import ObsScales, largest_reward
from metarl.rl.off_policy.value_heads import BinnedValue, ScalarValue, ValueHead
from metarl.rl.off_policy.visits import VisitReplay
from metarl.seeding import Stream, torch_rng
from metarl.types import EnvSpec, Metrics, Params, TaskData
from metarl.validate import Bounds, Checked, Count, Natural, NotNegative, OpenShare, Positive, Search

SMALLEST_STD = 1e-3
"""Of what the encoder is fed: a change of an observation may be small and still tell the task."""
SMALLEST_RETURN_SCALE = 1e-3


@dataclass(frozen=True, kw_only=True)
class PEARLConfig(Checked):
    """Settings of PEARL."""

    latent_dim: Count = 5
    encoder_hidden: tuple[Count, ...] = (64, 64)
    actor_hidden: tuple[Count, ...] = (256, 256)
    critic_hidden: tuple[Count, ...] = (256, 256)
    critics: Count = 2
    layer_norm: bool = True
    rounds: Count = 1
    """Support sets of a task in a meta-update: the first one's episodes act by z from the prior, the others' by what is
    believed by then."""
    context_steps: Count = 100
    """A gradient step's beliefs are of 1 to so many transitions of one visit to a task."""
    kl_weight: Annotated[NotNegative, Search(0.001, 1.0)] = 0.01
    """Of the belief's KL divergence from the prior, beside the critics' loss; the paper's 0.1 left the goals of 2D
    navigation half known."""
    tasks_per_step: Count = 16
    """Visits to tasks in a batch."""
    rows_per_task: Count = 32
    """Transitions of each."""
    value: Literal["bins", "scalar"] = "bins"
    """Of a critic: a distribution over bins, or one number."""
    value_bins: Count = 101
    lr: Annotated[Positive, Search(1e-4, 2e-3)] = 5e-4
    replay_ratio: Positive = 32.0
    """How often a step is learned from: gradient steps times tasks_per_step times rows_per_task, by env steps."""
    replay_capacity: Count = 1_000_000
    """Rows: one a step, and one an episode."""
    warmup_steps: Natural = 5_000
    """Env steps before the first gradient step."""
    normalize_obs_steps: Natural = 20_000
    """What nets are fed is scaled to mean 0 and std 1 over so many env steps, and no longer after that; 0: never."""
    n_step: Annotated[Count, Search(1, 16)] = 8
    gamma: OpenShare = 0.99
    target_step: Annotated[float, Bounds(above=0, most=1), Search(0.002, 0.05)] = 0.01
    """tau: how far the target critics move towards the critics in each gradient step."""
    actor_every: Count = 1
    """Gradient steps of the critics for each one of the actor."""
    first_temperature: Annotated[Positive, Search(0.001, 1.0)] = 0.02
    """alpha, in units of scaled reward."""
    target_entropy: float = -1.0
    """Nats for each dimension of an action."""
    precision: Precision = "auto"
    """Of the nets' products; parameters and losses are float32. auto: bfloat16 where the processor multiplies it."""
    exploration: ExplorationConfig = ExplorationConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value == "bins":
            Bounds(least=3, remedy="give more").check("value_bins", self.value_bins)

    @property
    def batch_size(self) -> int:
        return self.tasks_per_step * self.rows_per_task

    def head(self) -> ValueHead:
        if self.value == "scalar":
            return ScalarValue()
        return BinnedValue(self.value_bins, 1 / (1 - self.gamma), spacing="square")


class Scales(NamedTuple):
    """Of what nets are fed, until the next batch."""

    obs_mean: Tensor  # (O,)
    obs_std: Tensor
    context_mean: Tensor  # (F,)
    context_std: Tensor


class PEARL:
    """An RLMetaLearner whose phi is a belief over z, and whose nets and replay live on `device`."""

    replay_is_on_disk = False
    replay_batches = None

    def __init__(
        self, spec: EnvSpec, config: PEARLConfig, *, generator: torch.Generator, device: torch.device = CPU
    ) -> None:
        if spec.discrete:
            raise UserError(
                f"PEARL acts with continuous actions, and this environment has {spec.action_dim} discrete ones; "
                "take maml or rl2"
            )
        self.spec, self.config, self.device = spec, config, device
        self.nets = ActorCritic(
            SquashedPolicy(spec.obs_dim + config.latent_dim, spec.action_dim, config.actor_hidden, config.layer_norm),
            config.head(),
            critic_hidden=config.critic_hidden,
            critics=config.critics,
            gammas=(config.gamma,),
            lr=config.lr,
            dtype=dtype_of(config.precision, device),
            generator=generator,
            device=device,
        )
        self.nets.add_temperatures(1, config.first_temperature)
        fed = context_dim(spec.obs_dim, spec.action_dim)
        sizes = (fed, *config.encoder_hidden, 2 * config.latent_dim)
        encoder = init_norm_mlp(sizes, generator, layer_norm=config.layer_norm, last_std=0.1)
        self.encoder = FlatParams(encoder, lr=config.lr, device=device)
        self.obs_scales = ObsScales(spec.obs_dim)
        self.context_moments = torch.zeros(3, fed, dtype=torch.float64)  # sums of [1, x, x^2]
        self.return_scale = SMALLEST_RETURN_SCALE
        """The largest return that was seen, as a reward that is given for ever; see `largest_reward`."""
        self.replay = VisitReplay(
            spec, capacity=config.replay_capacity, n_step=config.n_step, gammas=(config.gamma,), device=device
        )
        self._seed = int(torch.randint(2**31, (), generator=generator))
        self._num_updates = self._gradient_steps = 0
        self._debt = 0.0
        """Rows still to be learned from."""
        self._replay_state = self.replay.state_dict()
        """That the state which was loaded last goes with."""

    def behaviour(self) -> LatentBehaviour:
        config, scales = self.config, self.scales()
        latent = torch.zeros(config.latent_dim), torch.ones(config.latent_dim)
        mean, std = torch.cat([scales.obs_mean, latent[0]]), torch.cat([scales.obs_std, latent[1]])
        return LatentBehaviour(
            spec=self.spec,
            policy=self.nets.policy,
            actor_theta=fold_scales(self.nets.actor.copy(), mean, std),
            encoder_theta=fold_scales(self.encoder.copy(), scales.context_mean, scales.context_std),
            encoder_hidden=len(config.encoder_hidden),
            latent_dim=config.latent_dim,
            version=self._num_updates,
            adaptation_rounds=config.rounds,
            exploration=config.exploration,
        )

    def scales(self) -> Scales:
        """On the CPU."""
        context_mean, context_std = mean_and_std(self.context_moments, smallest_std=SMALLEST_STD)
        return Scales(*self.obs_scales.mean_and_std(), context_mean.float(), context_std.float())

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Add the batch to the replay, and take the gradient steps that are due."""
        config = self.config
        self.meet(batch)
        rng = torch_rng((self._seed, Stream.LEARN, self._num_updates))  # the same after a resume
        self._num_updates += 1
        metrics = {"replay/rows": float(min(self.replay.written, config.replay_capacity))}
        if self.replay.written <= config.warmup_steps:
            return metrics | {"meta_step_accepted": 0.0, "gradient_steps": 0.0}
        self._debt += config.replay_ratio * sum(x.num_steps for data in batch for x in (*data.supports, data.query))
        steps = int(self._debt // config.batch_size)
        self._debt -= steps * config.batch_size
        scales = Scales(*(x.to(self.device) for x in self.scales()))
        found = take_steps(steps, lambda: self.gradient_step(rng, scales))
        self.nets.check_finite()
        metrics |= {"replay/return_scale": self.return_scale, "gradient_steps": float(steps)}
        return metrics | found | {"meta_step_accepted": float(steps > 0)}

    def meet(self, batch: Sequence[TaskData]) -> None:
        """Add the batch to the replay, and to what is known of scales. Raises UserError for what teaches nothing."""
        of_batch = [check_episodes(x) for x in zip(*((*data.supports, data.query) for data in batch), strict=True)]
        if self.replay.written < self.config.normalize_obs_steps:
            self.obs_scales.update(batch)
            for episodes in of_batch:
                self.context_moments += sums(context_of(episodes)[episodes.mask])
        for episodes in of_batch:
            self.return_scale = max(self.return_scale, largest_reward(episodes, gamma=self.config.gamma))
        self.replay.add(batch)

    def gradient_step(self, rng: torch.Generator, scales: Scales) -> dict[str, Tensor]:
        """One of critics, encoder and target; every `actor_every`th time one of actor and temperature as well."""
        config, nets = self.config, self.nets
        batch, context, mask = self.replay.draw(
            config.tasks_per_step, rng, rows=config.rows_per_task, context=config.context_steps
        )
        noise = torch.randn(2, config.batch_size, self.spec.action_dim, generator=rng).to(self.device)
        latent_noise = torch.randn(config.tasks_per_step, config.latent_dim, generator=rng).to(self.device)
        belief = self._belief((context - scales.context_mean) / scales.context_std, mask)
        z = belief.sample(latent_noise).repeat_interleave(config.rows_per_task, 0)
        obs, next_obs = ((x - scales.obs_mean) / scales.obs_std for x in (batch.obs, batch.next_obs))
        seen = torch.cat([obs, z.detach()], -1)
        batch = batch._replace(
            obs=seen, next_obs=torch.cat([next_obs, z.detach()], -1), returns=batch.returns / self.return_scale
        )
        target = nets.target_of(batch, noise=noise[0])
        outputs = nets.outputs(torch.cat([obs, z], -1), batch.actions)
        critic_loss, kl = nets.head.losses(outputs, target).mean(1).sum(), belief.kl_to_prior().mean()
        step_together([nets.critic, self.encoder], critic_loss + config.kl_weight * kl)
        metrics = {
            "critic_loss": critic_loss.detach(),
            "q": nets.head.values(outputs.detach()).mean(),
            "kl": kl.detach(),
        }
        self._gradient_steps += 1
        if self._gradient_steps % config.actor_every == 0:
            entropy = config.target_entropy * self.spec.action_dim
            metrics |= nets.step_actor(seen, batch.groups, noise=noise[1], target_entropy=entropy)
        nets.step_target(config.target_step)
        return metrics

    def _belief(self, context: Tensor, mask: Tensor) -> Belief:
        """Of scaled transitions (tasks, C, F) where mask (tasks, C) is True."""
        dtype, hidden = self.nets.dtype, len(self.config.encoder_hidden)
        of_each = factors(self.encoder.views(dtype), context.flatten(0, 1).to(dtype), num_hidden=hidden)
        start = Belief(*(x.to(self.device) for x in prior(self.config.latent_dim)))
        return product(Belief(*(x.view(*mask.shape, -1) for x in of_each)), mask, start=start)

    @property
    def replay_capacity(self) -> int:
        return self.replay.capacity

    def remember(self, batches: Iterable[Sequence[TaskData]]) -> None:
        """Fill the replay again after `load_state_dict`; see `metarl.learner.KeepsReplay`."""
        self.replay.restore(self._replay_state, batches)

    @property
    def theta(self) -> Params:
        """Of all nets, named as in actor.w0."""
        return self.nets.theta | {f"encoder.{name}": p for name, p in self.encoder.copy().items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "adam": self.nets.adam | {"encoder": self.encoder.state_dict()},
            "obs_scales": self.obs_scales.state_dict(),
            "context_moments": self.context_moments,
            "return_scale": self.return_scale,
            "replay": self.replay.state_dict(),
            "debt": self._debt,
            "seed": self._seed,
            "num_updates": self._num_updates,
            "gradient_steps": self._gradient_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The replay stays as it is until `remember`."""
        theta = state["theta"]
        P.check_tensors_match(self.theta, theta, what="theta")
        mine = {name: p for name, p in theta.items() if not name.startswith("encoder.")}
        self.nets.load(mine, state["adam"])
        self.encoder.load({name.removeprefix("encoder."): p for name, p in theta.items()})
        self.encoder.load_state_dict(state["adam"]["encoder"])
        self.obs_scales.load_state_dict(state["obs_scales"])
        self.context_moments, self.return_scale = state["context_moments"].clone(), state["return_scale"]
        self._replay_state = state["replay"]
        self._debt, self._seed = state["debt"], state["seed"]
        self._num_updates, self._gradient_steps = state["num_updates"], state["gradient_steps"]
