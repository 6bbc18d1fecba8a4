"""Bandits by hand, and the textbook algorithms against what is known of them."""

import numpy as np
import pytest

from metarl.envs.bandits import Bandits, play, reference_returns, thompson, ucb1, uniform
from metarl.types import Task

KINDS = ("bernoulli", "gaussian")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind, spread", [("bernoulli", lambda m: np.sqrt(m * (1 - m))), ("gaussian", np.ones_like)])
def test_rewards_have_the_mean_and_the_spread_of_their_arm(kind, spread):
    tasks = Bandits(kind=kind, arms=3, pulls=20)
    means = np.array([0.1, 0.5, 0.9])
    lanes = np.arange(3000)
    env = tasks.make_env(3000)
    task = Task("t", {"kind": kind, "means": means.tolist()})
    obs = env.reset(lanes, [task] * 3000, [(0, i) for i in range(3000)])
    np.testing.assert_array_equal(obs, np.ones((3000, 1)))
    steps = [env.step(lanes, lanes % 3) for _ in range(20)]
    rewards = np.array([step.rewards for step in steps]).reshape(20, 1000, 3)
    np.testing.assert_allclose(rewards.mean((0, 1)), means, atol=0.03)
    np.testing.assert_allclose(rewards.std((0, 1)), spread(means), atol=0.03)
    assert abs(np.corrcoef(rewards[0, :, 1], rewards[1, :, 1])[0, 1]) < 0.1  # luck is new at each pull
    assert set(np.unique(rewards)) == {0, 1} or kind == "gaussian"
    np.testing.assert_array_equal(steps[0].success, lanes % 3 == 2)


def test_an_episode_is_so_many_pulls_and_ends_there():
    env = Bandits(pulls=4).make_env(1)
    env.reset(np.array([0]), Bandits().sample(1, rng=rng()), [(0,)])
    ends = [env.step(np.array([0]), np.array([1])) for _ in range(4)]
    assert [bool(step.terminated[0]) for step in ends] == [False, False, False, True]
    assert not any(step.truncated[0] for step in ends)


def test_means_come_from_the_prior():
    uniform_means, normal = (
        np.array([task.params["means"] for task in Bandits(kind=kind).sample(2000, rng=rng())]) for kind in KINDS
    )
    assert 0 <= uniform_means.min() < 0.001 and 0.999 < uniform_means.max() <= 1
    np.testing.assert_allclose([uniform_means.mean(), normal.mean(), normal.std()], [0.5, 0, 1], atol=0.02)


def test_ucb1_by_hand():
    """Arms pulled (3, 1) times with means (2/3, 0) at t = 4: .667 + sqrt(2 ln 4 / 3) = 1.628 < sqrt(2 ln 4) = 1.665."""
    counts, sums = np.array([[3.0, 1.0]]), np.array([[2.0, 0.0]])
    assert ucb1()(4, counts, sums).tolist() == [1]
    assert ucb1(exploration=1.0)(4, counts, sums).tolist() == [0]  # .667 + .680 = 1.346 > 1.177
    assert [ucb1()(t, counts * 0, sums).tolist() for t in (0, 1)] == [[0], [1]]


@pytest.mark.parametrize("kind", KINDS)
def test_thompson_draws_from_the_posterior(kind):
    """Seen often, the better arm is always chosen; unseen, each as often; the posterior's chance in between."""
    choose = thompson(rng(), kind=kind)
    many = np.ones((4000, 1))
    assert (choose(0, many * [1000, 1000], many * [400, 600]) == 1).all()
    assert np.mean(choose(0, many * [0, 0], many * [0, 0])) == pytest.approx(0.5, abs=0.03)
    # Beta(2, 1) beats Beta(1, 1) with 2/3; N(1/2, 1/2) beats N(0, 1) with Phi(.5 / sqrt 1.5) = .658
    expected = 2 / 3 if kind == "bernoulli" else 0.658
    assert np.mean(choose(0, many * [1, 0], many * [1, 0]) == 0) == pytest.approx(expected, abs=0.03)


def test_play_counts_what_it_pulls():
    """Arm 0 always pays, arm 1 never."""
    tasks = [Task("t", {"kind": "bernoulli", "means": [1.0, 0.0]})]
    seen = []

    def alternate(t, counts, sums):
        seen.append((counts[0].tolist(), sums[0].tolist()))
        return np.array([t % 2])

    assert play(tasks, alternate, pulls=4, rng=rng()).tolist() == [[1, 0, 1, 0]]
    assert seen[-1] == ([2, 1], [2, 0])
    assert play(tasks, uniform(rng()), pulls=2000, rng=rng()).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_references_are_in_their_known_order(kind):
    """On the paper's 10 arms and 100 pulls: random < UCB1 as published < Thompson < tuned UCB1 < the best arm."""
    tasks = Bandits(kind=kind).sample(1500, rng=rng())
    returns = {name: r.mean() for name, r in reference_returns(tasks, pulls=100, rng=rng(1)).items()}
    best = 100 * np.mean([max(task.params["means"]) for task in tasks])
    assert returns["random"] < returns["ucb1"] < returns["thompson"] < returns["ucb1_tuned"] < best
    if kind == "bernoulli":  # Duan et al. 2016, table 1: Thompson 76.7, UCB1 (tuned) 82.4
        assert returns["random"] == pytest.approx(50, abs=1)
        assert returns["thompson"] == pytest.approx(76.7, abs=1.5)
        assert returns["ucb1_tuned"] == pytest.approx(82.4, abs=1.5)


@pytest.mark.parametrize("field", [{"arms": 1}, {"pulls": 0}, {"num_test_tasks": 0}])
def test_bad_settings_are_named(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Bandits(**field)
