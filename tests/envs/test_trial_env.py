"""TrialEnv: what another library's recurrent agent sees of a trial."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.vec_env import DummyVecEnv

from metarl.envs.bandits import Bandits
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.navigation import Navigation
from metarl.envs.trial_env import TrialEnv
from metarl.errors import UserError
from tests.rollout.envs import HORIZON, Scripted

DISTRIBUTIONS = {"navigation": Navigation(), "bandits": Bandits(arms=3, pulls=4), "ml1": ML1()}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # unbounded observations: as Meta-World's and MuJoCo's are
def test_gymnasiums_and_sb3s_checkers_accept_it(name):
    env = TrialEnv(DISTRIBUTIONS[name], episodes_per_trial=2)
    check_env(env, skip_render_check=True)
    sb3_check_env(env)
    env.close()


def test_a_trial_shows_the_real_last_transition_of_each_episode():
    """A scripted task of two steps whose reward is 10 t + action: the end of an episode reaches the observation."""
    env = TrialEnv(Scripted(), episodes_per_trial=2)
    obs, info = env.reset(seed=0)
    size = Scripted().spec.obs_dim
    assert not obs[size:].any() and info["trial_episode"] == 0
    rows, rewards = [], []
    for t in range(2 * HORIZON):
        action = np.full(2, 0.01 * t, np.float32)
        obs, reward, terminated, truncated, info = env.step(action)
        rows.append(obs[size:])
        rewards.append(reward)
        assert terminated == (t == 2 * HORIZON - 1) and not truncated  # the horizon ended the episode, not the trial
        assert info["trial_episode"] == t // HORIZON
    for t, row in enumerate(rows):
        np.testing.assert_allclose(row[:2], 0.01 * t, rtol=1e-6)
        assert row[2] == pytest.approx(rewards[t]) and row[3] == float(t % HORIZON == HORIZON - 1)
    with pytest.raises(UserError, match="call reset first"):
        env.step(np.zeros(2, np.float32))


def test_sb3_does_not_bootstrap_at_the_end_of_a_trial():
    """RecurrentPPO adds gamma V(terminal_observation) to the reward where its vector env says TimeLimit.truncated."""
    envs = DummyVecEnv([lambda: TrialEnv(Scripted(), episodes_per_trial=2)])
    envs.reset()
    for t in range(2 * HORIZON):
        _, _, dones, infos = envs.step(np.zeros((1, 2), np.float32))
        assert dones[0] == (t == 2 * HORIZON - 1) and not infos[0]["TimeLimit.truncated"]


def test_seeds_decide_and_tasks_change_between_trials_only():
    def tasks_and_obs(seed):
        env = TrialEnv(Navigation(), episodes_per_trial=2)
        seen, obs_bytes = [], b""
        for trial in range(3):
            obs, info = env.reset(seed=seed if trial == 0 else None)
            ids = {info["task"]}
            terminated = False
            while not terminated:
                obs_bytes += obs.tobytes()
                obs, _, terminated, _, info = env.step(np.ones(2, np.float32))
                ids.add(info["task"])
            assert len(ids) == 1
            seen.append(ids.pop())
        return seen, obs_bytes

    first, again, other = tasks_and_obs(1), tasks_and_obs(1), tasks_and_obs(2)
    assert first == again and first != other and len(set(first[0])) == 3


def test_the_test_split_goes_through_the_held_out_tasks_in_turn():
    tasks = Navigation(num_test_tasks=3)
    env = TrialEnv(tasks, episodes_per_trial=1, split="test")
    order = [env.reset(seed=5 if i == 0 else None)[1]["task"] for i in range(4)]
    held_out = [task.id for task in tasks.meta_test()]
    assert order == [*held_out, held_out[0]]


def test_bad_arguments_are_refused():
    with pytest.raises(UserError, match="episodes_per_trial=0"):
        TrialEnv(Navigation(), episodes_per_trial=0)
    with pytest.raises(UserError, match="split='val'"):
        TrialEnv(Navigation(), split="val")  # type: ignore[arg-type]


@pytest.mark.slow
def test_sb3_contribs_recurrent_ppo_learns_on_it_unmodified():
    """On two-armed bandits it comes to prefer the arm that pays: above the 0.5 a pull of blind play."""
    sb3_contrib = pytest.importorskip("sb3_contrib")
    tasks = Bandits(arms=2, pulls=20)
    model = sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy",
        DummyVecEnv([lambda: TrialEnv(tasks, episodes_per_trial=1)] * 16),
        n_steps=80,
        batch_size=320,
        learning_rate=2e-3,
        gamma=0.95,
        seed=0,
        policy_kwargs={"lstm_hidden_size": 32, "net_arch": []},
    )
    model.learn(150_000)
    env = TrialEnv(tasks, episodes_per_trial=1, split="test")
    totals = []
    for trial in range(100):
        obs, _ = env.reset(seed=0 if trial == 0 else None)
        state, start, total, terminated = None, True, 0.0, False
        while not terminated:
            action, state = model.predict(obs, state=state, episode_start=np.array([start]), deterministic=False)
            obs, reward, terminated, _, _ = env.step(action)
            start, total = False, total + reward
        totals.append(total / 20)
    assert np.mean(totals) > 0.56  # knowing the better arm gives 0.67
