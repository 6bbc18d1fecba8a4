"""Joining episodes to trials, and advantages within a trial, by hand."""

import pytest
import torch

from metarl.rl.recurrent.trials import join_episodes, to_episode_steps, to_trial_steps, trial_gae, trial_returns
from metarl.types import Episodes


def episodes_of(*trials, horizon=3):
    """Each trial a list of episodes, each a list of rewards and how it ended ('term', 'trunc', or dropped: [])."""
    num_tasks, num_episodes = len(trials), len(trials[0])
    shape = (num_tasks, num_episodes, horizon)
    e = {name: torch.zeros(shape) for name in ("rewards", "log_probs")}
    e |= {name: torch.zeros(shape, dtype=torch.bool) for name in ("terminated", "truncated", "success", "mask")}
    for b, trial in enumerate(trials):
        for n, (rewards, end) in enumerate(trial):
            length = len(rewards)
            e["rewards"][b, n, :length] = torch.tensor(rewards, dtype=torch.float32)
            e["mask"][b, n, :length] = True
            if length:
                e["terminated" if end == "term" else "truncated"][b, n, length - 1] = True
    e["log_probs"] = -e["rewards"]
    obs = torch.stack([e["rewards"], 2 * e["rewards"]], dim=-1)
    return Episodes(**e, obs=obs, actions=obs.clone(), last_obs=torch.zeros(num_tasks, num_episodes, 2))


TWO = episodes_of(
    [([1, 2], "term"), ([3, 4, 5], "trunc")],
    [([6, 7, 8], "trunc"), ([9], "term")],
)


def test_episodes_are_joined_in_order_without_their_padding():
    trials = join_episodes(TWO)
    assert trials.rewards.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]
    assert trials.mask.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert trials.lengths.tolist() == [5, 4]
    assert trials.ended.tolist() == [[False, True, False, False, True], [False, False, True, True, False]]
    assert (trials.log_probs == -trials.rewards).all()
    torch.testing.assert_close(trials.obs[..., 1], 2 * trials.rewards)
    torch.testing.assert_close(trials.actions, trials.obs)


def test_dropped_episodes_are_left_out():
    dropped = episodes_of([([1], "term"), ([], ""), ([2, 3], "term")])
    assert join_episodes(dropped).rewards.tolist() == [[1, 2, 3]]


def test_there_and_back():
    trials = join_episodes(TWO)
    assert torch.equal(to_trial_steps(TWO.rewards, trials), trials.rewards)
    assert torch.equal(to_episode_steps(trials.rewards, trials, TWO.mask), TWO.rewards)


def test_across_episodes_the_next_value_is_the_next_episodes_first():
    """gamma 1/2, lambda 1/2, values 10..50, rewards 1..5, the task terminated after the second step.

    delta = [1 + 10 - 10, 2 + 15 - 20, 3 + 20 - 30, 4 + 25 - 40, 5 - 50] = [1, -3, -7, -11, -45], decay 1/4.
    """
    trials = join_episodes(TWO)
    values = torch.tensor([[10.0, 20, 30, 40, 50], [0, 0, 0, 0, 99]])
    a = trial_gae(trials, values, gamma=0.5, gae_lambda=0.5, cut_at_episodes=False)
    a4 = -45.0
    a3 = -11 + a4 / 4
    a2 = -7 + a3 / 4
    a1 = -3 + a2 / 4
    torch.testing.assert_close(a[0], torch.tensor([1 + a1 / 4, a1, a2, a3, a4]))
    # the shorter trial: the padding's value 99 is nobody's future
    b3 = 9.0
    b2 = 8 + b3 / 4
    b1 = 7 + b2 / 4
    torch.testing.assert_close(a[1], torch.tensor([6 + b1 / 4, b1, b2, b3, 0]))


def test_cut_at_episodes_nothing_comes_from_the_next_one():
    """The same with the second and fifth step as ends, one a termination and one a time limit."""
    values = torch.tensor([[10.0, 20, 30, 40, 50], [0, 0, 0, 0, 99]])
    a = trial_gae(join_episodes(TWO), values, gamma=0.5, gae_lambda=0.5, cut_at_episodes=True)
    a1, a4 = 2.0 - 20, 5.0 - 50
    a3 = -11 + a4 / 4
    torch.testing.assert_close(a[0], torch.tensor([1 + a1 / 4, a1, -7 + a3 / 4, a3, a4]))
    torch.testing.assert_close(a[1], torch.tensor([6 + (7 + 8 / 4) / 4, 7 + 8 / 4, 8, 9, 0]))


@pytest.mark.parametrize(
    "cut, expected",
    [
        (False, [[1 + 2 / 2 + 3 / 4 + 4 / 8 + 5 / 16, 2 + 3 / 2 + 4 / 4 + 5 / 8, 3 + 4 / 2 + 5 / 4, 4 + 5 / 2, 5]]),
        (True, [[1 + 2 / 2, 2, 3 + 4 / 2 + 5 / 4, 4 + 5 / 2, 5]]),
    ],
)
def test_returns_to_the_end_of_the_trial_or_of_the_episode(cut, expected):
    returns = trial_returns(join_episodes(TWO), gamma=0.5, cut_at_episodes=cut)
    torch.testing.assert_close(returns[:1], torch.tensor(expected))
