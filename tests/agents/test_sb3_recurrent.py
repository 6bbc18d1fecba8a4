"""RecurrentPPO behind our protocol: it acts as SB3's own predict does on TrialEnv, and is scored like any other."""

import numpy as np
import pytest
import torch

from metarl.agents.sb3_recurrent import SB3Recurrent
from metarl.envs.bandits import Bandits
from metarl.envs.navigation import Navigation
from metarl.envs.trial_env import TrialEnv
from metarl.errors import UserError
from metarl.rollout.collect import collect_episodes
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.scores.rl import EvaluationConfig, meta_evaluate

sb3_contrib = pytest.importorskip("sb3_contrib")
EPISODES = 3


def recurrent_ppo(tasks, **kwargs):
    env = TrialEnv(tasks, episodes_per_trial=EPISODES)
    policy = {"lstm_hidden_size": 16, "net_arch": [8], "n_lstm_layers": 2} | kwargs
    model = sb3_contrib.RecurrentPPO("MlpLstmPolicy", env, seed=3, policy_kwargs=policy)
    with torch.no_grad():  # SB3's first actions are all but 0: nothing would depend on the memory
        model.policy.action_net.weight.mul_(100)
    return model


def by_predict(model, tasks, num_trials):
    """Episode returns of held-out tasks with the mean action, (num_trials, EPISODES), by SB3's own means."""
    env = TrialEnv(tasks, episodes_per_trial=EPISODES, split="test")
    returns = np.zeros((num_trials, EPISODES))
    for trial in range(num_trials):
        obs, _ = env.reset(seed=0 if trial == 0 else None)
        state, terminated = None, False
        while not terminated:
            start = np.array([state is None])
            action, state = model.predict(obs, state=state, episode_start=start, deterministic=True)
            obs, reward, terminated, _, info = env.step(action)
            returns[trial, info["trial_episode"]] += reward
    return returns


def test_it_acts_as_predict_does_on_trial_env():
    tasks = Navigation(num_test_tasks=4)
    model = recurrent_ppo(tasks)
    learner = SB3Recurrent(tasks.spec, model.policy)
    held_out = tasks.meta_test()
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        episodes = collect_episodes(
            pool,
            learner.behaviour(),
            held_out,
            [learner.behaviour().prior()] * 4,
            num_episodes=EPISODES,
            seed=(0,),
            deterministic=True,
        )
    returns = torch.stack([e.returns_undiscounted() for e in episodes]).numpy()
    assert np.ptp(returns, axis=1).min() > 1e-3  # the memory makes a difference between episodes
    np.testing.assert_allclose(returns, by_predict(model, tasks, 4), rtol=1e-4)


def test_adapting_is_rolling_the_memory_over_the_episodes():
    """Two episodes, adapt, one more: the third episode is that of a trial of three."""
    tasks = Navigation(num_test_tasks=4)
    learner = SB3Recurrent(tasks.spec, recurrent_ppo(tasks).policy)
    held_out, priors = tasks.meta_test(), [learner.behaviour().prior()] * 4
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:

        def run(phis, num_episodes):
            return collect_episodes(
                pool, learner.behaviour(), held_out, phis, num_episodes=num_episodes, seed=(0,), deterministic=True
            )

        whole = run(priors, 3)
        phis = learner.behaviour().adapt(priors, run(priors, 2))
        third = run(phis, 1)
    for e, last in zip(whole, third, strict=True):
        torch.testing.assert_close(e.actions[2], last.actions[0], rtol=1e-4, atol=1e-5)


def test_the_evaluator_scores_it_on_discrete_actions_too():
    tasks = Bandits(arms=3, pulls=10, num_test_tasks=5)
    learner = SB3Recurrent(tasks.spec, recurrent_ppo(tasks).policy)
    config = EvaluationConfig(adaptation_episodes=2, test_episodes=2, adaptation_rounds=1)
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        first, again = (
            meta_evaluate(pool, learner.behaviour(), tasks.meta_test(), config, seed=(1,)) for _ in range(2)
        )
    returns = first.scores.values["return"][0]
    assert returns.shape == (2, 5, 2) and 0 < returns.mean() < 10
    np.testing.assert_array_equal(returns, again.scores.values["return"][0])


def test_other_policies_are_refused():
    tasks, other = Navigation(), Bandits(arms=4, pulls=10)
    with pytest.raises(UserError, match=r"observes \(7,\), but a trial of these tasks gives \(6,\)"):
        SB3Recurrent(tasks.spec, recurrent_ppo(other).policy)
    with pytest.raises(UserError, match="no lstm_actor"):
        SB3Recurrent(tasks.spec, torch.nn.Linear(2, 2))
    with pytest.raises(UserError, match="scored only"):
        SB3Recurrent(tasks.spec, recurrent_ppo(tasks).policy).meta_update([])
