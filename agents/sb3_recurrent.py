"""RecurrentPPO of sb3-contrib, trained on `TrialEnv`, behind our protocol: scored by the same evaluator as all else.

```python
model = RecurrentPPO("MlpLstmPolicy", TrialEnv(tasks, episodes_per_trial=4))
model.learn(1_000_000)
agent = SB3Recurrent(tasks.spec, model.policy)  # then metarl.scores.rl.meta_evaluate(pool, agent, ...)
```
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.learn import params as P
from metarl.rl.batch import stack_tasks
from metarl.rl.distributions import ActionDistribution, Categorical, Gaussian
from metarl.rl.recurrent.memory_behaviour import MemoryActor
from metarl.rl.recurrent.trials import join_episodes
from metarl.types import EnvSpec, Episodes, Metrics, Params, Phi, TaskData


class SB3Recurrent:
    """An RLMetaLearner that does not learn, and is its own behaviour: phi is as RL²'s, a state and a transition."""

    version = 0
    keeps_memory = True
    adaptation_rounds = 0  # a trial holds its own adaptation

    def __init__(self, spec: EnvSpec, policy: Any) -> None:
        """`policy`: the model's, of its kind MlpLstmPolicy. Raises UserError if it was made for other spaces."""
        found = getattr(policy, "observation_space", None)
        size = spec.obs_dim + spec.action_dim + 2
        if getattr(policy, "lstm_actor", None) is None or found is None:
            raise UserError(f"{type(policy).__name__} has no lstm_actor; give the policy of a RecurrentPPO")
        if found.shape != (size,):
            raise UserError(
                f"the policy observes {found.shape}, but a trial of these tasks gives ({size},): observation, action, "
                "reward and end of episode; train it on TrialEnv of the same tasks"
            )
        self.spec = spec
        self.policy = copy.deepcopy(policy).to("cpu")  # the caller's goes on learning as it is
        self.policy.set_training_mode(False)
        self._in_trials = SB3TrialPolicy(spec, self.policy)

    def behaviour(self) -> SB3Recurrent:
        return self

    def prior(self) -> Params:
        """An empty memory, and no transition before."""
        lstm = self.policy.lstm_actor
        return {
            "state": torch.zeros(2 * lstm.num_layers * lstm.hidden_size),
            "previous": torch.zeros(self.spec.action_dim + 2),
        }

    def actor(self, *, deterministic: bool = False) -> MemoryActor:
        return MemoryActor(self._in_trials, {}, deterministic=deterministic)

    @torch.no_grad()
    def adapt(self, phis: Sequence[Phi], supports: Sequence[Episodes]) -> list[Params]:
        """Roll each task's memory over its support episodes, in the order in which they ran."""
        trials = join_episodes(stack_tasks(supports))
        phi = P.stack(phis)
        state, previous = phi["state"], phi["previous"]
        transitions = self._in_trials.encode_transitions(trials.actions, trials.rewards, trials.ended)
        for t in range(trials.mask.shape[1]):
            _, after = self._in_trials.act({}, trials.obs[:, t], previous, state)
            is_step = trials.mask[:, t, None]  # a shorter trial is over and keeps what it has
            state, previous = torch.where(is_step, after, state), torch.where(is_step, transitions[:, t], previous)
        return P.unstack({"state": state, "previous": previous})

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        raise UserError("RecurrentPPO learns by its own learn(), on TrialEnv; here it is scored only")

    def state_dict(self) -> dict[str, Any]:
        return {"theta": self.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["theta"])


@dataclass(frozen=True)
class SB3TrialPolicy:
    """A `TrialPolicy`: its weights are the SB3 policy's own, and no theta is needed."""

    spec: EnvSpec
    policy: Any

    def encode_transitions(self, actions: Tensor, rewards: Tensor, ended: Tensor) -> Tensor:
        """As `TrialEnv` shows them, (..., A + 2): SB3 clips an action before the env, and so the memory, sees it."""
        if self.spec.discrete:
            actions = torch.nn.functional.one_hot(actions, self.spec.action_dim).to(rewards.dtype)
        return torch.cat([actions.clamp(-1, 1), rewards.unsqueeze(-1), ended.to(rewards.dtype).unsqueeze(-1)], dim=-1)

    def for_acting(self, params: Params, state: Tensor) -> Tensor:
        return state

    def act(self, params: Params, obs: Tensor, previous: Tensor, carried: Tensor) -> tuple[ActionDistribution, Tensor]:
        """obs (L, O), previous (L, A + 2), flat LSTM states (L, S) -> action distributions, the next states."""
        lstm = self.policy.lstm_actor
        hidden, cell = carried.unflatten(-1, (2, lstm.num_layers, lstm.hidden_size)).permute(1, 2, 0, 3).contiguous()
        x = torch.cat([obs, previous], -1)
        dist, after = self.policy.get_distribution(x, (hidden, cell), torch.zeros(len(x)))
        its = dist.distribution  # torch's Normal or Categorical
        ours = Gaussian(its.loc, its.scale.log()) if hasattr(its, "loc") else Categorical(its.logits)
        return ours, torch.stack(after).permute(2, 0, 1, 3).flatten(1)
