"""Trials as PPO learns from them: values, advantages and chunks with stored states, under the theta of now."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learner import CPU
from metarl.rl.baseline import explained_variance, fit_linear_baseline, predict_values
from metarl.rl.recurrent.chunks import Chunks, cut
from metarl.rl.recurrent.memory_behaviour import empty_memory, trial_inputs
from metarl.rl.recurrent.popart import ReturnUnits
from metarl.rl.recurrent.recurrent_policy import RecurrentPolicy
from metarl.rl.recurrent.trials import Trials, to_episode_steps, to_trial_steps, trial_gae, trial_returns
from metarl.rl.returns import masked_mean, standardize
from metarl.types import Episodes, Metrics, Params


@dataclass(frozen=True, kw_only=True)
class TrialBatch:
    """How trials are prepared; each is taken to start from an empty memory."""

    policy: RecurrentPolicy
    gamma: float
    gae_lambda: float
    cut_at_episodes: bool
    """Advantages stop at the end of each episode, and do not run across those of a trial."""
    chunk_steps: int

    @torch.no_grad()
    def prepare(
        self, theta: Params, episodes: Episodes, trials: Trials, units: ReturnUnits
    ) -> tuple[Chunks, Tensor, Metrics]:
        """Stored states, values and advantages under theta, on its device; also the outputs (C, B, K, H)."""
        device = next(iter(theta.values())).device
        prior = P.repeat(empty_memory(self.policy), len(trials.mask))
        steps = min(self.chunk_steps, trials.mask.shape[1])
        inputs = cut(trial_inputs(self.policy, trials, prior["previous"])[0], steps).to(device)
        actions = cut(trials.actions, steps).to(device)
        mask = cut(trials.mask, steps).to(device)
        state, states, outputs = prior["state"].to(device), [], []
        for k in range(inputs.shape[2]):
            states.append(state)
            output, state = self.policy.sequence(theta, inputs[:, :, k], state)
            outputs.append(output)
        output = torch.stack(outputs, dim=2)
        old_log_probs = cut(trials.log_probs, steps).to(device)
        dist = self.policy.dist(theta, output)
        mismatch = ((dist.log_prob(actions) - old_log_probs) * mask).abs().max()
        values = self._values(theta, episodes, trials, output, units)
        advantages = self._advantages(trials, values)
        chunks = Chunks(
            inputs=inputs,
            actions=actions,
            log_probs=old_log_probs,
            advantages=cut(standardize(advantages, trials.mask), steps).to(device),
            targets=cut(advantages + values, steps).to(device),
            mask=mask,
            states=torch.stack(states, dim=1),
        )
        return chunks, output, {
            "entropy": float(masked_mean(dist.entropy(), mask)),
            "explained_variance": explained_variance(values, self.returns(trials), trials.mask),
            "log_prob_mismatch": float(mismatch),  # actor against learner: rounding, unless episodes were dropped
        }  # fmt: skip

    def returns(self, trials: Trials) -> Tensor:
        """(B, L)"""
        return trial_returns(trials, gamma=self.gamma, cut_at_episodes=self.cut_at_episodes)

    def features(self, trials: Trials) -> Tensor:
        """What encoder and memory were fed before it was normalised (B, L, F), on the CPU."""
        prior = P.repeat(empty_memory(self.policy), len(trials.mask))
        inputs, _ = trial_inputs(self.policy, trials, prior["previous"])
        last = prior["state"][:, self.policy.memory.state_dim :]
        return self.policy.features(inputs.transpose(0, 1), last)[0].transpose(0, 1)

    def _values(self, theta: Params, episodes: Episodes, trials: Trials, output: Tensor, units: ReturnUnits) -> Tensor:
        """(B, L) in units of the rewards: by the policy's value head, or LinearFeatureBaseline where it has none."""
        if not self.policy.value_head:
            # over episodes and their own time: what the return depends on in each of them
            returns = to_episode_steps(self.returns(trials), trials, episodes.mask)
            weights = fit_linear_baseline(episodes.obs, returns, episodes.mask)
            return to_trial_steps(predict_values(weights, episodes.obs, episodes.last_obs, episodes.mask)[0], trials)
        values = self.policy.value(theta, output).permute(1, 2, 0).flatten(1).to(CPU)  # (C, B, K) -> (B, K C)
        return units.restore(values[:, : trials.mask.shape[1]]) * trials.mask

    def _advantages(self, trials: Trials, values: Tensor) -> Tensor:
        advantages = trial_gae(
            trials, values, gamma=self.gamma, gae_lambda=self.gae_lambda, cut_at_episodes=self.cut_at_episodes
        )
        if not torch.isfinite(advantages).all():
            raise NonFiniteError("NaN or infinity in the advantages; the rewards are too large for float32")
        return advantages
