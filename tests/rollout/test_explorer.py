"""Collecting explores with coloured noise, testing does not; the same bytes whatever the number of workers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from metarl.agents.registry import AGENTS
from metarl.envs.navigation import Navigation
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rollout.collect import collect_episodes, collect_meta_batch, explorer_of
from metarl.rollout.lockstep import draw_noise
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng
from tests.agents.test_contract import small

TASKS = Navigation()
EXPLORING = [name for name, entry in AGENTS.items() if hasattr(entry.config, "exploration")]
RED = ExplorationConfig(noise_exponent=2.0)


def behaviour_of(name, exploration=RED):
    return small(name, exploration=exploration)(TASKS.spec, 0).behaviour()


def sway(episodes):
    """|mean action| over its root mean square: 1 where an episode's actions all go one way."""
    actions = episodes.actions
    return float((actions.mean(1).abs() / actions.square().mean(1).sqrt()).mean())


def test_all_agents_that_learn_by_acting_explore():
    assert set(AGENTS) - set(EXPLORING) == {"random"}


@pytest.mark.parametrize("name", EXPLORING)
def test_training_data_are_coloured_and_test_episodes_white(name):
    behaviour = behaviour_of(name)
    tasks = TASKS.sample(2, rng=numpy_rng((0,)))
    with RolloutPool(TASKS, PoolConfig(workers=0)) as pool:
        batch = collect_meta_batch(pool, behaviour, tasks, support_episodes=8, query_episodes=8, seed=(1,))
        phis = [behaviour.prior()] * 2
        tested = collect_episodes(pool, behaviour, tasks, phis, num_episodes=8, seed=(2,), one_trial=False)
    taken = [episodes for data in batch for episodes in (*data.supports, data.query)]
    assert min(map(sway, taken)) > 2 * max(map(sway, tested))


@pytest.mark.parametrize("name", EXPLORING)
def test_the_exponent_falls_with_the_agents_own_updates(name):
    falling = ExplorationConfig(noise_exponent=1.0, anneal_noise_updates=4)
    behaviour = behaviour_of(name, falling)
    exponents = [explorer_of(dataclasses.replace(behaviour, version=n)).noise_exponent for n in (0, 1, 4, 9)]
    assert exponents == [1.0, 0.75, 0.0, 0.0]


def test_an_actor_without_colour_draws_as_before():
    actor = explorer_of(behaviour_of("maml", ExplorationConfig()))
    expected = numpy_rng((5, 1)).standard_normal((30, 2), dtype=np.float32)
    np.testing.assert_array_equal(next(draw_noise(actor, (5,), 30)), expected)


def test_coloured_episodes_are_the_same_in_workers_and_here():
    behaviour = behaviour_of("maml")
    tasks = TASKS.sample(3, rng=numpy_rng((0,)))
    taken = []
    for workers in (0, 2):
        with RolloutPool(TASKS, PoolConfig(workers=workers, lanes_per_group=4)) as pool:
            phis = [behaviour.prior()] * 3
            taken.append(collect_episodes(pool, behaviour, tasks, phis, num_episodes=4, seed=(3,), exploring=True))
    for here, there in zip(*taken, strict=True):
        assert torch.equal(here.actions, there.actions) and torch.equal(here.rewards, there.rewards)


def test_the_log_probs_of_coloured_actions_are_the_policys_own():
    """A step's noise is N(0, 1), so its density is that of the Gaussian; only together are they not the policy's."""
    behaviour = behaviour_of("multi_task_ppo")
    tasks = TASKS.sample(1, rng=numpy_rng((0,)))
    with RolloutPool(TASKS, PoolConfig(workers=0)) as pool:
        (episodes,) = collect_episodes(
            pool, behaviour, tasks, [behaviour.prior()], num_episodes=3, seed=(4,), exploring=True
        )
    dist = behaviour.problem.policy.dist(behaviour.theta, episodes.obs)
    expected = dist.log_prob(episodes.actions)
    torch.testing.assert_close(episodes.log_probs[episodes.mask], expected[episodes.mask], atol=1e-4, rtol=1e-4)


def test_seeds_are_the_lanes_own():
    actor = explorer_of(behaviour_of("maml"))
    one, other = (next(draw_noise(actor, (5, episode), 30)) for episode in (0, 1))
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_array_equal(one, next(draw_noise(actor, (5, 0), 30)))
