"""RL² (Duan et al. 2016) with PPO (Schulman et al. 2017): the memory of a recurrent policy is what adapts.

1. A trial is several episodes of one task, one after another, with the memory kept; it is reset between tasks only.
2. The policy sees the observation and the real previous action, reward and end of episode.
3. PPO maximises the return of the whole trial. Advantages are standardised over the meta-batch, not per task: a task
   has one trial in it, and how much better that went than its values said is what its own mean would take away.
4. Back-propagation is truncated: a trial is cut into chunks, which start from the memory states that the trial had
   there, computed anew before each update; so all chunks of a minibatch run side by side through one fused call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch

from metarl.errors import NonFiniteError, SettingError
from metarl.learn import params as P
from metarl.learn.meta_optimizer import Adam
from metarl.learn.params import check_tensors_match
from metarl.learner import CPU
from metarl.rl.batch import stack_tasks
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rl.normalizers import sums
from metarl.rl.policies import MAX_STD
from metarl.rl.ppo import shuffled_minibatches
from metarl.rl.recurrent.chunks import Chunks
from metarl.rl.recurrent.memory import NUM_HEADS, MemoryKind
from metarl.rl.recurrent.memory_behaviour import MemoryBehaviour, checked_trials
from metarl.rl.recurrent.popart import ReturnUnits
from metarl.rl.recurrent.recurrent_policy import RecurrentPolicy
from metarl.rl.recurrent.trial_batch import TrialBatch
from metarl.rl.recurrent.trial_ppo import TrialPPO
from metarl.rl.returns import masked_mean, teaches
from metarl.seeding import Stream, numpy_rng
from metarl.types import EnvSpec, Episodes, Metrics, Params, TaskData
from metarl.validate import Bounds, Checked, Count, NotNegative, Positive, Search, Share


@dataclass(frozen=True, kw_only=True)
class RL2Config(Checked):
    """The defaults are what learnt fastest on Meta-World, the robots and gymnasium's pendulum (experiments/LOG.md); the
    papers' own are presets."""

    memory: MemoryKind = "gru"
    hidden_dim: Count = 128
    attention_window: Count = 100
    """Steps that an attention memory looks back; gru and lstm have no such limit."""
    encoder: tuple[Count, ...] = ()
    """tanh layers between the inputs and the memory."""
    init_std: Positive = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: Positive = 1e-3
    exploration: ExplorationConfig = ExplorationConfig()
    reward_input_scale: NotNegative = 1.0
    """The previous reward is fed to the memory times this."""
    normalize_inputs: bool = True
    """Observations and rewards are fed at mean 0 and std 1 over all meta-training so far. A hand that moves by 10 cm
    changes a raw input by 0.1, which a memory starts out nearly blind to."""
    input_changes: bool = True
    """Also feed how observation and reward changed in the last step: which way is better, with no need to subtract."""
    gamma: Share = 0.99
    gae_lambda: Annotated[Share, Search(0.9, 1.0, log=False)] = 0.95
    episode_ends: Literal["across", "cut"] = "across"
    """Advantages run across the episodes of a trial, as in RL², or stop at the end of each."""
    baseline: Literal["value_head", "linear"] = "value_head"
    """A head on the memory's output, or LinearFeatureBaseline fitted to each trial."""
    lr: Annotated[Positive, Search(1e-4, 1e-2)] = 1e-3
    clip: Positive = 0.2
    epochs: Annotated[Count, Search(1, 10)] = 4
    minibatches: Count = 4
    """Of whole trials, in each epoch."""
    chunk_steps: Count = 250
    """Back-propagation goes back this far; each chunk starts from its stored memory state."""
    entropy_coef: NotNegative = 0.0
    value_coef: NotNegative = 0.5
    """Weight of the value head's squared error, on returns normalised to mean 0 and std 1."""
    max_grad_norm: Positive | None = 0.5
    max_kl: Positive | None = None
    """Stop the update where a minibatch's KL from the policy that collected exceeds this; None: never."""
    anneal_updates: Count | None = None
    """lr and entropy_coef fall linearly to a tenth over so many updates, and stay there; None: they never fall. The
    theta of the end is the one that counts, and at full lr one update can undo many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Bounds(least=self.min_std, most=MAX_STD).check("init_std", self.init_std)
        if self.memory == "attention" and self.hidden_dim % NUM_HEADS:
            raise SettingError(
                f"hidden_dim={self.hidden_dim} must be a multiple of {NUM_HEADS}, the heads of an attention memory; "
                "give a multiple"
            )


class RL2:
    """An RLMetaLearner whose phi is a memory state and the last transition, on the CPU; theta lives on `device`."""

    def __init__(
        self,
        spec: EnvSpec,
        config: RL2Config,
        *,
        generator: torch.Generator,
        device: torch.device = CPU,
    ) -> None:
        self.config, self.device = config, device
        self.policy = RecurrentPolicy(
            spec=spec,
            memory_kind=config.memory,
            hidden_dim=config.hidden_dim,
            attention_window=config.attention_window,
            encoder=config.encoder,
            init_std=config.init_std,
            min_std=config.min_std,
            reward_scale=config.reward_input_scale,
            normalize_inputs=config.normalize_inputs,
            input_changes=config.input_changes,
            value_head=config.baseline == "value_head",
        )
        self.data = TrialBatch(
            policy=self.policy,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            cut_at_episodes=config.episode_ends == "cut",
            chunk_steps=config.chunk_steps,
        )
        self.theta = P.to(self.policy.init(generator), device)
        self.meta_optimizer = Adam(lr=config.lr, eps=1e-5, max_grad_norm=config.max_grad_norm)
        self.return_units = ReturnUnits.unknown()
        self.input_moments = torch.zeros(3, self.policy.features_dim, dtype=torch.float64)  # sums of [1, x, x^2]
        self._shuffle_seed = int(torch.randint(2**31, (), generator=generator))
        self._num_updates = 0

    def behaviour(self) -> MemoryBehaviour:
        return MemoryBehaviour(self.policy, self.theta, self._num_updates, self.config.exploration)

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Several epochs of PPO on the trials of a meta-batch; each is taken to start from the prior."""
        episodes = stack_tasks([data.query for data in batch])
        trials = checked_trials(episodes)
        metrics = _episode_metrics(episodes)
        # one reward throughout: advantages would be the value head's errors, standardised
        if not teaches(trials.rewards, trials.mask):
            return metrics | {"meta_step_accepted": 0.0, "rejected_no_improvement": 1.0}
        units = self.return_units
        if not units.known:  # the first update: the head starts out from what is right on average
            units = units.updated(self.data.returns(trials)[trials.mask])
        chunks, outputs, before = self.data.prepare(self.theta, episodes, trials, units)
        new_units = units.updated(chunks.targets[chunks.mask])
        head = units.head_for(new_units, self.theta) if self.policy.value_head else {}
        chunks = chunks._replace(targets=new_units.normalise(chunks.targets))
        theta, update_metrics = self._optimize(chunks, self.theta | head)
        if not P.is_finite(theta):
            raise NonFiniteError(f"the update gave non-finite parameters; lower lr={self.config.lr}")
        if self.config.normalize_inputs:  # for the next trials: these ones were collected with the scales before
            self.input_moments = self.input_moments + sums(self.data.features(trials)[trials.mask])
            theta = theta | P.to(self.policy.input_scales(self.input_moments), self.device)
        self.theta, self.return_units = self.policy.project(theta), new_units
        self._num_updates += 1
        norms = outputs.norm(dim=-1)
        return metrics | before | update_metrics | {"memory_norm": float(masked_mean(norms, chunks.mask))}

    def _annealed(self) -> float:
        """What lr and entropy_coef are multiplied by in this update."""
        total = self.config.anneal_updates
        return 1.0 if total is None else max(0.1, 1 - self._num_updates / total)

    def _optimize(self, chunks: Chunks, theta: Params) -> tuple[Params, Metrics]:
        config, factor = self.config, self._annealed()
        self.meta_optimizer.lr = config.lr * factor
        ppo = TrialPPO(
            policy=self.policy,
            clip=config.clip,
            entropy_coef=config.entropy_coef * factor,
            value_coef=config.value_coef,
            max_kl=config.max_kl,
        )
        minibatches = shuffled_minibatches(
            chunks.inputs.shape[1],
            epochs=config.epochs,
            minibatches=config.minibatches,
            rng=numpy_rng((self._shuffle_seed, Stream.LEARN, self._num_updates)),  # the same after a resume
            device=self.device,
        )
        cosine = {"gradient_cosine": ppo.task_cosine(chunks, theta)}
        theta, history, stopped = ppo.optimize(self.meta_optimizer, chunks, theta, minibatches)
        if not history:
            return theta, cosine | {"meta_step_accepted": 0.0, "kl_stopped": 1.0}
        last_epoch = history[-config.minibatches :]
        metrics = {name: sum(row[name] for row in last_epoch) / len(last_epoch) for name in history[0]}
        accepted = [row["meta_step_accepted"] for row in history]
        return theta, metrics | cosine | {
            "meta_step_accepted": float(any(accepted)),
            "steps_not_finite": float(len(accepted) - sum(accepted)),
            "minibatch_steps": float(len(history)),
            "kl_stopped": float(stopped),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "meta_optimizer": self.meta_optimizer.state_dict(),
            "return_moments": self.return_units.moments,
            "input_moments": self.input_moments,
            "shuffle_seed": self._shuffle_seed,
            "num_updates": self._num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        moments = {name: P.to(state["meta_optimizer"][name], self.device) for name in ("first", "second")}
        self.meta_optimizer.load_state_dict(state["meta_optimizer"] | moments)
        self.return_units = ReturnUnits(state["return_moments"])
        self.input_moments = state.get("input_moments", self.input_moments)  # older checkpoints have none
        self._shuffle_seed, self._num_updates = state["shuffle_seed"], state["num_updates"]


def _episode_metrics(episodes: Episodes) -> Metrics:
    """Does it adapt? The first episode's return beside the last one's."""
    returns, kept = episodes.returns_undiscounted(), episodes.kept
    first, last = (float(masked_mean(returns[:, i], kept[:, i])) for i in (0, -1))
    return {"return/first_episode": first, "return/last_episode": last, "adaptation_gap": last - first}
