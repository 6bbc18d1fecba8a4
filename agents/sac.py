"""Soft actor-critic (Haarnoja et al. 2018) for many tasks at once: one net, which sees the task, trained from replay.

What makes one agent learn ten tasks from 200k steps of each; the first two gave a prototype of it most, and the last
two were measured on this one (experiments/LOG.md):

1. exploration noise that is correlated in time: pink (Eberhard et al. 2023);
2. n-step returns with n = 8, without a correction for what the policy of today would have done;
3. values as a distribution over bins, learned by cross-entropy, and each task's rewards divided by its own largest
   return (Nauman et al. 2025), so that no task's loss is larger than another's;
4. LayerNorm in actor and critic, a temperature for each task;
5. an entropy that is high at first and falls (`first_temperature`, `early_entropy`; set in `mt10_sac`);
6. episodes of more noise than the policy's own beside those of just its own (`widest_noise`; set in `mt10_sac`).

Each meta-update adds a batch of whole episodes to the replay and then takes so many gradient steps that each step of
an environment is learned from `replay_ratio` times.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from metarl.config import WITHOUT_EFFECT
from metarl.errors import UserError
from metarl.learner import CPU
from metarl.rl.anneal import annealed
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.off_policy.actor_critic import ActorCritic, take_steps
from metarl.rl.off_policy.precision import Precision, dtype_of
from metarl.rl.off_policy.replay import Replay, Transitions, check_episodes
from metarl.rl.off_policy.squashed_policy import SquashedBehaviour, SquashedPolicy, fold_scales
from metarl.rl.off_policy.task_scales import ObsScales, largest_reward
from metarl.rl.off_policy.value_heads import BinnedValue, ScalarValue, ValueHead
from metarl.seeding import Stream, torch_rng
from metarl.types import EnvSpec, Metrics, Params, TaskData
from metarl.validate import Bounds, Checked, Count, Natural, OpenShare, Positive, Search, Share


@dataclass(frozen=True, kw_only=True)
class SACConfig(Checked):
    """Settings of soft actor-critic for many tasks; what each is for is in docs/off_policy.md."""

    actor_hidden: tuple[Count, ...] = (256, 256, 256)
    critic_hidden: tuple[Count, ...] = (256, 256, 256)
    critics: Count = 2
    layer_norm: bool = True
    actor_value: Literal["mean", "least"] = "mean"
    """Which of the critics' values the actor goes up; the target is always by the least."""
    value: Literal["bins", "scalar"] = "bins"
    """Of a critic: a distribution over bins, or one number."""
    value_bins: Count = 101
    heads: Natural = 0
    """So many tasks have a last layer each, in actor and critics (Yu et al. 2019): the last numbers of an observation
    are then a one-hot id of that size. 0: all share one, which sees the id."""
    value_sign: Literal["both", "positive"] = "both"
    """`positive`: bins from 0 on, for rewards that are never below 0."""
    value_spacing: Literal["even", "square"] = "square"
    """Bins of equal width, or finer near 0."""
    return_scale: bool = True
    """Divide each task's rewards by its own largest return."""
    smallest_return_scale: Positive = 1e-3
    """In units of reward: the divisor of a task that has hardly been rewarded yet."""
    normalize_obs_steps: Natural = 20_000
    """Observations are scaled to mean 0 and std 1 over this many env steps of each task, and no longer after that; 0:
    never. An id's entries stay 0 and 1."""
    lr: Annotated[Positive, Search(1e-4, 2e-3)] = 5e-4
    last_lr: Annotated[float, Bounds(above=0, most=1)] = 1.0
    """The share of `lr` that is left in the end: the policy that a training ends with is then less a matter of its last
    steps. It falls linearly over `lr_falls_over` meta-updates."""
    lr_falls_from: Natural = 300
    """The meta-update behind which `lr` begins to fall."""
    lr_falls_over: Count = 100
    batch_size: Count = 512
    replay_ratio: Positive = 16.0
    """How often a step is learned from: gradient steps times batch_size, by env steps."""
    replay_capacity: Count = 1_000_000
    """Rows of each task's ring: one a step, and one an episode."""
    replay_on: Literal["memory", "disk"] = field(default="memory", metadata={WITHOUT_EFFECT: True})
    """disk: where it does not fit into memory. Slower as far as it does not fit; the numbers are the same."""
    warmup_steps: Natural = 5_000
    """Env steps of each task before the first gradient step."""
    focus: Share = 0.0
    """This share of each batch goes to the tasks by how often they fail now, the rest to all alike."""
    from_best: Share = 0.0
    """This share of a task's part of each batch is from the tenth of its episodes that returned most: what was found
    once, and would else be one episode among hundreds, is learned from."""
    n_step: Annotated[Count, Search(1, 16)] = 8
    gamma: OpenShare = 0.99
    auxiliary_gammas: tuple[OpenShare, ...] = ()
    """Discount factors whose values the critics learn as well, by the same hidden layers (Fedus et al. 2019); the
    policy goes by `gamma` alone."""
    target_step: Annotated[float, Bounds(above=0, most=1), Search(0.002, 0.05)] = 0.01
    """tau: how far the target critics move towards the critics in each gradient step."""
    actor_every: Count = 2
    """Gradient steps of the critics for each one of the actor."""
    first_temperature: Annotated[Positive, Search(0.001, 1.0)] = 0.005
    """alpha, in units of scaled reward."""
    target_entropy: float = -1.0
    """Nats for each dimension of an action: at -1 its std before tanh is about 0.09."""
    early_entropy: float | None = None
    """The target at the first meta-update (-0.5: std 0.15), from where it goes to `target_entropy` linearly over
    `anneal_entropy_updates`: what is to be found is found early, and done precisely late. None: no difference."""
    anneal_entropy_updates: Count = 200
    precision: Precision = "auto"
    """Of the nets' products; parameters and losses are float32. auto: bfloat16 where the processor multiplies it."""
    former_tasks: Literal["keep", "forget"] = "keep"
    """Of a sequence of tasks: what a batch of none of the classes that the replay holds does to it. `forget` empties it
    (fine-tuning, Wołczyk et al. 2021), and the nets go on as they are; `keep` learns from all rows for ever."""
    explore_anew: bool = False
    """Of a sequence of tasks: collect a class by random actions, as those of the first policy, until it has its
    `warmup_steps`, and not by the policy of the classes before it."""
    exploration: ExplorationConfig = ExplorationConfig(noise_exponent=1.0)
    widest_noise: Annotated[float, Bounds(least=1)] = 1.0
    """While collecting, each episode's noise is multiplied by a number between 1 and this, log-uniform: some episodes
    explore more than the policy does (as of the actors of Ape-X some do, Horgan et al. 2018). n-step returns are
    then those of noisier actions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value == "bins":
            Bounds(least=3, remedy="give more").check("value_bins", self.value_bins)

    def entropy_at(self, update: int) -> float:
        """The target for each dimension of an action after so many meta-updates."""
        if self.early_entropy is None:
            return self.target_entropy
        return annealed(self.early_entropy, self.target_entropy, update=update, updates=self.anneal_entropy_updates)

    def lr_at(self, update: int) -> float:
        """Of actor and critics, after so many meta-updates."""
        falling = max(0, update - self.lr_falls_from)
        return self.lr * annealed(1.0, self.last_lr, update=falling, updates=self.lr_falls_over)

    @property
    def gammas(self) -> tuple[float, ...]:
        return (self.gamma, *self.auxiliary_gammas)

    def head(self) -> ValueHead:
        if self.value == "scalar":
            return ScalarValue()
        return BinnedValue(self.value_bins, 1 / (1 - self.gamma), sign=self.value_sign, spacing=self.value_spacing)


class Draws(NamedTuple):
    """How transitions are drawn and scaled in one meta-update."""

    obs_mean: Tensor  # (O,)
    obs_std: Tensor  # (O,)
    returns: Tensor  # (G,)
    shares: Tensor  # (G,) of a batch, on the CPU
    entropy: float
    """The target, in nats of a whole action."""

    def scaled(self, batch: Transitions) -> Transitions:
        return batch._replace(
            obs=(batch.obs - self.obs_mean) / self.obs_std,
            next_obs=(batch.next_obs - self.obs_mean) / self.obs_std,
            returns=batch.returns / self.returns[batch.groups].unsqueeze(1),
        )


class SAC:
    """An RLMetaLearner without adaptation, whose nets and replay live on `device`."""

    def __init__(
        self, spec: EnvSpec, config: SACConfig, *, generator: torch.Generator, device: torch.device = CPU
    ) -> None:
        if spec.discrete:
            raise UserError(
                f"SAC acts with continuous actions, and this environment has {spec.action_dim} discrete ones; "
                "take maml, rl2 or multi_task_ppo"
            )
        self.spec, self.config, self.device = spec, config, device
        if config.heads > spec.obs_dim:
            raise UserError(f"heads={config.heads}, and an observation has {spec.obs_dim} numbers; lower it")
        self.policy = SquashedPolicy(
            spec.obs_dim, spec.action_dim, config.actor_hidden, config.layer_norm, config.heads
        )
        self.nets = ActorCritic(
            self.policy,
            config.head(),
            critic_hidden=config.critic_hidden,
            critics=config.critics,
            gammas=config.gammas,
            lr=config.lr,
            dtype=dtype_of(config.precision, device),
            generator=generator,
            device=device,
        )
        self.return_scales = torch.zeros(0)
        self.success = torch.zeros(0)
        """Of each group's episodes at their last step, a running mean over about the last ten."""
        self.obs_scales = ObsScales(spec.obs_dim)
        self.replay = Replay(
            spec,
            capacity=config.replay_capacity,
            n_step=config.n_step,
            gammas=config.gammas,
            device=device,
            on_disk=self.replay_is_on_disk,
        )
        self._seed = int(torch.randint(2**31, (), generator=generator))
        self._num_updates = self._gradient_steps = 0
        self._debt = 0.0
        """Rows still to be learned from."""
        self._has_warned = False
        self._replay_state = self.replay.state_dict()
        """That the state which was loaded last goes with."""

    def behaviour(self) -> SquashedBehaviour:
        mean, std = self.obs_scales.mean_and_std()
        return SquashedBehaviour(
            spec=self.spec,
            policy=self.policy,
            theta=fold_scales(self.nets.actor.copy(), mean, std),
            version=self._num_updates,
            exploration=self.config.exploration,
            widest_noise=self.config.widest_noise,
            explored=self._explored() if self.config.explore_anew else None,
        )

    def _explored(self) -> frozenset[str]:
        """Classes that have their `warmup_steps`."""
        filled = zip(self.replay.names, self.replay.filled, strict=True)
        return frozenset(name for name, rows in filled if rows > self.config.warmup_steps)

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Add the batch to the replay, and take the gradient steps that are due."""
        config = self.config
        self.meet(batch)
        rng = torch_rng((self._seed, Stream.LEARN, self._num_updates))  # the same after a resume
        self._num_updates += 1
        filled = self.replay.filled
        metrics = {"replay/rows": float(sum(filled)), "replay/return_scale": float(self.return_scales.mean())}
        if min(filled) <= config.warmup_steps:
            return metrics | {"meta_step_accepted": 0.0, "gradient_steps": 0.0}
        self._debt += config.replay_ratio * sum(data.query.num_steps for data in batch)
        steps = int(self._debt // config.batch_size)
        self._debt -= steps * config.batch_size
        draws = self.draws()
        self.nets.set_lr(config.lr_at(self._num_updates))
        found = take_steps(steps, lambda: self.gradient_step(rng, draws))
        self.nets.check_finite()
        learned = self._gradient_steps * config.batch_size / sum(self.replay.written)
        metrics |= {"replay/ratio": learned, "gradient_steps": float(steps)}
        return metrics | found | {"meta_step_accepted": float(steps > 0)}

    def meet(self, batch: Sequence[TaskData]) -> None:
        """Add the batch to the replay, and to what is known of its tasks. Raises UserError for what teaches nothing."""
        check_episodes([data.query for data in batch])
        if self.config.heads:
            for data in batch:
                self._check_id(data)
        if self.config.former_tasks == "forget" and not {data.task.stratum for data in batch} & {*self.replay.names}:
            self._forget()
        if min(self.replay.filled, default=0) < self.config.normalize_obs_steps:
            self.obs_scales.update(batch)
        self.replay.add(batch)
        self._meet_tasks(batch)

    def _check_id(self, data: TaskData) -> None:
        """Raises UserError where a task shows no id to an agent with a head for each."""
        shown = data.query.obs[0, 0, self.spec.obs_dim - self.config.heads :]
        if not (bool(((shown == 0) | (shown == 1)).all()) and shown.sum() == 1):
            raise UserError(
                f"heads={self.config.heads} wants a one-hot id as the last numbers of an observation, and task "
                f"{data.task.id!r} shows {shown.tolist()}; give as many heads as there are ids, or 0"
            )

    def _forget(self) -> None:
        self.replay.forget()
        self.nets.forget_temperatures()
        self.return_scales, self.success = torch.zeros(0), torch.zeros(0)
        self._gradient_steps, self._debt = 0, 0.0

    def draws(self) -> Draws:
        """As they are until the next batch."""
        config, device = self.config, self.device
        mean, std, returns = (x.to(device) for x in (*self.obs_scales.mean_and_std(), self.return_scales))
        shares = focused_shares(self.success, focus=config.focus)
        return Draws(mean, std, returns, shares, config.entropy_at(self._num_updates) * self.spec.action_dim)

    def _meet_tasks(self, batch: Sequence[TaskData]) -> None:
        """A temperature and a return scale for each group, also for one that was not met before."""
        config, known = self.config, len(self.return_scales)
        new = self.replay.num_groups - known
        if new:
            self.nets.add_temperatures(new, config.first_temperature)
            self.return_scales = torch.cat([self.return_scales, torch.full((new,), config.smallest_return_scale)])
            self.success = torch.cat([self.success, torch.zeros(new)])
        if config.value == "bins" and not self._has_warned:
            self._warn_of_range(batch)
        for data in batch:
            group = self.replay.names.index(data.task.stratum)
            largest = largest_reward(data.query, gamma=config.gamma) if config.return_scale else 1.0
            self.return_scales[group] = max(float(self.return_scales[group]), largest)
            for succeeded in data.query.success_last()[data.query.kept].float():
                self.success[group] += 0.1 * (succeeded - self.success[group])

    def _warn_of_range(self, batch: Sequence[TaskData]) -> None:
        """Once, where the bins do not reach over the returns that were seen: beyond their ends all is one value."""
        config, end = self.config, 1 / (1 - self.config.gamma)
        for data in batch:
            fault = ""
            if config.value_sign == "positive" and bool((data.query.rewards < 0).any()):
                fault = "has rewards below 0, and value_sign='positive' has no bins for them; take 'both'"
            elif not config.return_scale and (largest := largest_reward(data.query, gamma=config.gamma)) > 1:
                fault = (
                    f"has discounted returns up to {largest * end:.4g}, and the bins end at {end:.4g}; set "
                    f"return_scale, or divide its rewards by {largest:.3g}"
                )
            if fault:
                warnings.warn(f"task {data.task.id!r} {fault}", stacklevel=2)
                self._has_warned = True
                return

    def gradient_step(self, rng: torch.Generator, draws: Draws) -> dict[str, Tensor]:
        """One of the critics and the target, and every `actor_every`th time one of actor and temperatures."""
        config, nets = self.config, self.nets
        batch = draws.scaled(self.replay.draw(config.batch_size, rng, shares=draws.shares, from_best=config.from_best))
        noise = torch.randn(2, config.batch_size, self.spec.action_dim, generator=rng).to(self.device)
        target = nets.target_of(batch, noise=noise[0])
        outputs = nets.outputs(batch.obs, batch.actions)
        critic_loss = nets.head.losses(outputs, target).mean(1).sum()
        nets.critic.step(critic_loss)
        metrics = {"critic_loss": critic_loss.detach(), "q": nets.head.values(outputs.detach()[:, :, 0]).mean()}
        self._gradient_steps += 1
        if self._gradient_steps % config.actor_every == 0:
            by_least = config.actor_value == "least"
            metrics |= nets.step_actor(
                batch.obs, batch.groups, noise=noise[1], target_entropy=draws.entropy, by_least=by_least
            )
        nets.step_target(config.target_step)
        return metrics

    @property
    def replay_capacity(self) -> int:
        return self.replay.capacity

    @property
    def replay_is_on_disk(self) -> bool:
        return self.config.replay_on == "disk"

    @property
    def replay_batches(self) -> int | None:
        return self.replay.since

    def remember(self, batches: Iterable[Sequence[TaskData]]) -> None:
        """Fill the replay again after `load_state_dict`; see `metarl.learner.KeepsReplay`."""
        self.replay.restore(self._replay_state, batches)

    @property
    def theta(self) -> Params:
        """Of all nets, named as in actor.w0."""
        return self.nets.theta

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "adam": self.nets.adam,
            "return_scales": self.return_scales,
            "success": self.success,
            "obs_scales": self.obs_scales.state_dict(),
            "replay": self.replay.state_dict(),
            "debt": self._debt,
            "seed": self._seed,
            "num_updates": self._num_updates,
            "gradient_steps": self._gradient_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The replay stays as it is until `remember`."""
        self.nets.load(state["theta"], state["adam"])
        self.return_scales, self.success = state["return_scales"].clone(), state["success"].clone()
        self.obs_scales.load_state_dict(state["obs_scales"])
        self._replay_state = state["replay"]
        self._debt, self._seed = state["debt"], state["seed"]
        self._num_updates, self._gradient_steps = state["num_updates"], state["gradient_steps"]


def focused_shares(success: Tensor, *, focus: float) -> Tensor:
    """(G,): (1 - focus) / G, and of `focus` each group's part of all failures; alike where none fails."""
    failures = 1 - success
    by_failure = failures / failures.sum() if bool(failures.any()) else torch.full_like(success, 1 / len(success))
    return (1 - focus) / len(success) + focus * by_failure
