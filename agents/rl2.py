"""RL² (Duan et al. 2016) with PPO (Schulman et al. 2017): the memory of a recurrent policy is what adapts.

1. A trial is several episodes of one task, one after another, with the memory kept; it is reset between tasks only.
2. The policy sees the observation and the real previous action, reward and end of episode.
3. PPO maximises the return of the whole trial. Back-propagation is truncated: a trial is cut into chunks, which
   start from the memory states that the trial had there, computed anew before each update; so all chunks of a
   minibatch run side by side through one fused call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, SettingError
from metarl.learn import params as P
from metarl.learn.meta_optimizer import Adam
from metarl.rl.baseline import explained_variance, fit_linear_baseline, predict_values
from metarl.rl.batch import stack_tasks
from metarl.rl.chunks import Chunks, cut
from metarl.rl.memory import NUM_HEADS, MemoryKind
from metarl.rl.memory_actor import RL2Actor
from metarl.rl.normalizers import sums
from metarl.rl.policies import MAX_STD
from metarl.rl.popart import ReturnUnits
from metarl.rl.ppo import shuffled_minibatches
from metarl.rl.recurrent_policy import RecurrentPolicy
from metarl.rl.returns import masked_mean, standardize, teaches
from metarl.rl.trial_ppo import TrialPPO
from metarl.rl.trials import Trials, join_episodes, to_episode_steps, to_trial_steps, trial_gae, trial_returns
from metarl.runs.checkpoint import check_tensors_match
from metarl.seeding import Stream, numpy_rng
from metarl.types import EnvSpec, Episodes, Metrics, Params, TaskData
from metarl.validate import check_choices, check_range

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class RL2Config:
    memory: MemoryKind = "gru"
    hidden_dim: int = 256
    attention_window: int = 100
    """Steps that an attention memory looks back; gru and lstm have no such limit."""
    encoder: tuple[int, ...] = ()
    """tanh layers between the inputs and the memory."""
    init_std: float = 1.0
    """Of the Gaussian policy's noise, in action units."""
    min_std: float = 1e-3
    reward_input_scale: float = 1.0
    """The previous reward is fed to the memory times this."""
    normalize_inputs: bool = False
    """Observations and rewards are fed at mean 0 and std 1 over all meta-training so far. A hand that moves by 10 cm
    changes a raw input by 0.1, which a memory starts out nearly blind to."""
    input_changes: bool = False
    """Also feed how observation and reward changed in the last step: which way is better, with no need to subtract."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    episode_ends: Literal["across", "cut"] = "across"
    """Advantages run across the episodes of a trial, as in RL², or stop at the end of each."""
    baseline: Literal["value_head", "linear"] = "value_head"
    """A head on the memory's output, or LinearFeatureBaseline fitted to each trial."""
    lr: float = 3e-4
    clip: float = 0.2
    epochs: int = 4
    minibatches: int = 4
    """Of whole trials, in each epoch."""
    chunk_steps: int = 250
    """Back-propagation goes back this far; each chunk starts from its stored memory state."""
    entropy_coef: float = 0.0
    value_coef: float = 0.5
    """Weight of the value head's squared error, on returns normalised to mean 0 and std 1."""
    max_grad_norm: float | None = 0.5
    max_kl: float | None = None
    """Stop the update where a minibatch's KL from the policy that collected exceeds this; None: never."""
    anneal_updates: int | None = None
    """lr and entropy_coef fall linearly to a tenth over so many updates, and stay there; None: they never fall. The
    theta of the end is the one that counts, and at full lr one update can undo many."""

    def __post_init__(self) -> None:
        for name in (
            "hidden_dim",
            "attention_window",
            "encoder",
            "epochs",
            "minibatches",
            "chunk_steps",
            "anneal_updates",
        ):
            check_range(self, name, low=1)
        for name in ("init_std", "min_std", "lr", "clip", "max_grad_norm", "max_kl"):
            check_range(self, name, low=0, low_open=True)
        for name in ("gamma", "gae_lambda"):
            check_range(self, name, low=0, high=1)
        for name in ("entropy_coef", "value_coef", "reward_input_scale"):
            check_range(self, name, low=0)
        check_range(self, "init_std", low=self.min_std, high=MAX_STD)
        check_choices(self)
        if self.memory == "attention" and self.hidden_dim % NUM_HEADS:
            raise SettingError(
                f"hidden_dim={self.hidden_dim} must be a multiple of {NUM_HEADS}, the heads of an attention memory; "
                "give such a one"
            )


class RL2:
    """An RLMetaLearner whose phi is a memory state and the last transition, on the CPU; theta lives on `device`."""

    keeps_memory = True
    adaptation_rounds = 0  # a trial holds its own adaptation

    def __init__(
        self,
        spec: EnvSpec,
        config: RL2Config,
        *,
        generator: torch.Generator,
        device: torch.device = CPU,
    ) -> None:
        self.spec, self.config, self.device = spec, config, device
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
        self.theta = P.to(self.policy.init(generator), device)
        self.meta_optimizer = Adam(lr=config.lr, eps=1e-5, max_grad_norm=config.max_grad_norm)
        self.return_units = ReturnUnits.unknown()
        self.input_moments = torch.zeros(3, self.policy.features_dim, dtype=torch.float64)  # sums of [1, x, x^2]
        self._shuffle_seed = int(torch.randint(2**31, (), generator=generator))
        self._num_updates = 0

    def actor(self, *, deterministic: bool = False) -> RL2Actor:
        return RL2Actor(self.policy, P.to(P.detach(self.theta), CPU), deterministic=deterministic)

    def prior(self) -> Params:
        """An empty memory, and no transition before."""
        return {"state": torch.zeros(self.policy.state_dim), "previous": torch.zeros(self.policy.previous_dim)}

    @torch.no_grad()
    def adapt(self, phis: Sequence[Params], supports: Sequence[Episodes]) -> list[Params]:
        """Roll each task's memory over its support episodes, in the order in which they ran."""
        trials = _checked_trials(stack_tasks(supports))
        phi = P.to(P.stack(phis), self.device)
        inputs, transitions = (x.to(self.device) for x in self._inputs(trials, P.stack(phis)["previous"]))
        states = torch.empty_like(phi["state"])
        for length in trials.lengths.unique().tolist():  # most often they are all alike
            rows = (trials.lengths == length).to(self.device)
            steps = inputs[rows, :length].transpose(0, 1)
            states[rows] = self.policy.sequence(self.theta, steps, phi["state"][rows])[1]
        if not torch.isfinite(states).all():
            raise NonFiniteError("NaN or infinity in the memory after the support episodes; lower reward_input_scale")
        last = transitions[torch.arange(len(states), device=self.device), trials.lengths.to(self.device) - 1]
        return P.unstack(P.to({"state": states, "previous": last}, CPU))

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        """Several epochs of PPO on the trials of a meta-batch; each is taken to start from the prior."""
        episodes = stack_tasks([data.query for data in batch])
        trials = _checked_trials(episodes)
        metrics = _episode_metrics(episodes)
        # one reward throughout: advantages would be the value head's errors, standardised
        if not teaches(trials.rewards, trials.mask):
            return metrics | {"meta_step_accepted": 0.0, "rejected_no_improvement": 1.0}
        units = self.return_units
        if not units.known:  # the first update: the head starts out from what is right on average
            units = units.updated(self._returns(trials)[trials.mask])
        chunks, outputs, before = self._prepare(episodes, trials, units)
        new_units = units.updated(chunks.targets[chunks.mask])
        head = units.head_for(new_units, self.theta) if self.policy.value_head else {}
        chunks = chunks._replace(targets=new_units.normalise(chunks.targets))
        theta, update_metrics = self._optimize(chunks, self.theta | head)
        if not P.is_finite(theta):
            raise NonFiniteError(f"the update gave non-finite parameters; lower lr={self.config.lr}")
        if self.config.normalize_inputs:  # for the next trials: these ones were collected with the scales before
            self.input_moments = self.input_moments + sums(self._features(trials)[trials.mask])
            theta = theta | P.to(self.policy.input_scales(self.input_moments), self.device)
        self.theta, self.return_units = self.policy.project(theta), new_units
        self._num_updates += 1
        norms = outputs.norm(dim=-1)
        return metrics | before | update_metrics | {"memory_norm": float(masked_mean(norms, chunks.mask))}

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

    # ---- data

    def _inputs(self, trials: Trials, previous: Tensor) -> tuple[Tensor, Tensor]:
        """What the memory saw at each step (B, L, I), and the transitions (B, L, A + 2) that followed."""
        transitions = self.policy.encode_transitions(trials.actions, trials.rewards, trials.ended)
        shifted = torch.cat([previous.unsqueeze(1), transitions[:, :-1]], dim=1)
        return torch.cat([trials.obs, shifted], dim=-1), transitions

    def _features(self, trials: Trials) -> Tensor:
        """What encoder and memory were fed before it was normalised (B, L, F), on the CPU."""
        prior = P.repeat(self.prior(), len(trials.mask))
        inputs, _ = self._inputs(trials, prior["previous"])
        last = prior["state"][:, self.policy.memory.state_dim :]
        return self.policy.features(inputs.transpose(0, 1), last)[0].transpose(0, 1)

    @torch.no_grad()
    def _prepare(self, episodes: Episodes, trials: Trials, units: ReturnUnits) -> tuple[Chunks, Tensor, Metrics]:
        """Stored states, values and advantages under the theta that collected; also the outputs (C, B, K, H)."""
        num_trials = len(trials.mask)
        prior = P.repeat(self.prior(), num_trials)
        steps = min(self.config.chunk_steps, trials.mask.shape[1])
        inputs = cut(self._inputs(trials, prior["previous"])[0], steps).to(self.device)
        actions = cut(trials.actions, steps).to(self.device)
        mask = cut(trials.mask, steps).to(self.device)
        state, states, outputs = prior["state"].to(self.device), [], []
        for k in range(inputs.shape[2]):
            states.append(state)
            output, state = self.policy.sequence(self.theta, inputs[:, :, k], state)
            outputs.append(output)
        output = torch.stack(outputs, dim=2)
        old_log_probs = cut(trials.log_probs, steps).to(self.device)
        dist = self.policy.dist(self.theta, output)
        mismatch = ((dist.log_prob(actions) - old_log_probs) * mask).abs().max()
        values = self._values(episodes, trials, output, units)
        advantages, returns = self._advantages(trials, values)
        chunks = Chunks(
            inputs=inputs,
            actions=actions,
            log_probs=old_log_probs,
            advantages=cut(standardize(advantages, trials.mask), steps).to(self.device),
            targets=cut(advantages + values, steps).to(self.device),
            mask=mask,
            states=torch.stack(states, dim=1),
        )
        return chunks, output, {
            "entropy": float(masked_mean(dist.entropy(), mask)),
            "explained_variance": explained_variance(values, returns, trials.mask),
            "log_prob_mismatch": float(mismatch),  # actor against learner: rounding, unless episodes were dropped
        }  # fmt: skip

    def _values(self, episodes: Episodes, trials: Trials, output: Tensor, units: ReturnUnits) -> Tensor:
        """(B, L) in units of the rewards."""
        if self.config.baseline == "linear":
            # over episodes and their own time: what the return depends on in each of them
            returns = to_episode_steps(self._returns(trials), trials, episodes.mask)
            weights = fit_linear_baseline(episodes.obs, returns, episodes.mask)
            return to_trial_steps(predict_values(weights, episodes.obs, episodes.last_obs, episodes.mask)[0], trials)
        values = self.policy.value(self.theta, output).permute(1, 2, 0).flatten(1).to(CPU)  # (C, B, K) -> (B, K C)
        return units.restore(values[:, : trials.mask.shape[1]]) * trials.mask

    def _returns(self, trials: Trials) -> Tensor:
        return trial_returns(trials, gamma=self.config.gamma, cut_at_episodes=self.config.episode_ends == "cut")

    def _advantages(self, trials: Trials, values: Tensor) -> tuple[Tensor, Tensor]:
        advantages = trial_gae(
            trials,
            values,
            gamma=self.config.gamma,
            gae_lambda=self.config.gae_lambda,
            cut_at_episodes=self.config.episode_ends == "cut",
        )
        if not torch.isfinite(advantages).all():
            raise NonFiniteError("NaN or infinity in the advantages; the rewards are too large for float32")
        return advantages, self._returns(trials)

    # ---- PPO

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


def _checked_trials(episodes: Episodes) -> Trials:
    trials = join_episodes(episodes)
    for name in ("obs", "rewards"):
        if not torch.isfinite(vars(trials)[name]).all():
            raise NonFiniteError(f"NaN or infinity in the {name} of a trial; theta was left as it was")
    return trials


def _episode_metrics(episodes: Episodes) -> Metrics:
    """Does it adapt? The first episode's return beside the last one's."""
    returns, kept = episodes.returns_undiscounted(), episodes.kept
    first, last = (float(masked_mean(returns[:, i], kept[:, i])) for i in (0, -1))
    return {"return/first_episode": first, "return/last_episode": last, "adaptation_gap": last - first}
