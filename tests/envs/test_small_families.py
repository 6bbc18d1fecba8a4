"""Point robot, tabular MDPs, and navigation's variants: the numbers of their definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from metarl.envs.navigation import Navigation
from metarl.envs.point_robot import PointRobot
from metarl.envs.registry import ENVS
from metarl.envs.single_task_env import SingleTaskEnv
from metarl.envs.tabular_mdp import TabularMDPs
from metarl.types import Task

LANE = np.array([0])


def test_point_robot_walks_a_tenth_a_step_to_its_half_circle() -> None:
    up = PointRobot().task({"angle": np.pi / 2})
    env = PointRobot().make_env(1)
    env.reset(LANE, [up], [(0,)])
    steps = [env.step(LANE, np.array([[0.0, 5.0]])) for _ in range(10)]  # clipped to 1
    assert [s.rewards[0] for s in steps] == pytest.approx([-0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0])
    assert [bool(s.success[0]) for s in steps][-4:] == [False, False, True, True]  # 0.2 is not quite it, in floats


def test_sparse_point_robot_is_paid_within_its_radius_only() -> None:
    tasks = PointRobot(sparse=True)
    env = tasks.make_env(1)
    env.reset(LANE, [tasks.task({"angle": np.pi / 2})], [(0,)])
    rewards = [env.step(LANE, np.array([[0.0, 1.0]])).rewards[0] for _ in range(10)]
    assert rewards[:7] == [0.0] * 7 and rewards[8:] == pytest.approx([0.9, 1.0])
    assert all(0 <= task.params["angle"] <= np.pi for task in tasks.meta_test())


def test_wind_blows_each_step_and_sparse_navigation_pays_near_the_goal() -> None:
    windy, still = Navigation(name="w", variant="wind"), np.zeros((1, 2))
    env = windy.make_env(1)
    env.reset(LANE, [windy.task({"goal": [0.4, 0.0], "wind": [0.05, -0.01]})], [(0,)])
    assert env.step(LANE, still).obs[0] == pytest.approx([0.05, -0.01])
    assert env.step(LANE, np.array([[1.0, 0.0]])).obs[0] == pytest.approx([0.2, -0.02])
    sparse = Navigation(name="s", variant="sparse")
    env = sparse.make_env(1)
    env.reset(LANE, [sparse.task({"goal": [0.15, 0.0]})], [(0,)])
    assert env.step(LANE, still).rewards[0] == 0.0
    assert env.step(LANE, np.array([[1.0, 0.0]])).rewards[0] == pytest.approx(0.5)  # 0.05 away


def test_an_mdp_moves_and_pays_as_its_tables_say() -> None:
    """State 0 goes to 1 for action 0 and to 2 for action 1, for certain; rewards are the means plus unit noise."""
    mdps = TabularMDPs(states=3, actions=2, horizon_steps=4)
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = transitions[1, :, 0] = transitions[2, :, 2] = 1.0
    means = [[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]
    task = Task("known", {"transitions": transitions.tolist(), "means": means})
    env, lanes = mdps.make_env(2), np.arange(2)
    np.testing.assert_array_equal(env.reset(lanes, [task, task], [(0,), (1,)]), [[1, 0, 0], [1, 0, 0]])
    step = env.step(lanes, np.array([0, 1]))
    np.testing.assert_array_equal(step.obs, [[0, 1, 0], [0, 0, 1]])
    assert abs(step.rewards - [10, 20]).max() < 5
    step = env.step(lanes, np.array([1, 0]))
    np.testing.assert_array_equal(step.obs, [[1, 0, 0], [0, 0, 1]])
    assert abs(step.rewards - [40, 50]).max() < 5


def test_mdps_follow_their_distributions() -> None:
    """Dirichlet rows sum to 1, means are N(1, 1), and arrivals have the frequencies of the row."""
    mdps = TabularMDPs()
    tasks = mdps.sample(50, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.sum([t.params["transitions"] for t in tasks], -1), 1.0)
    means = np.array([t.params["means"] for t in tasks])
    assert means.mean() == pytest.approx(1.0, abs=0.1) and means.std() == pytest.approx(1.0, abs=0.1)
    n, lanes = 4000, np.arange(4000)
    env = mdps.make_env(n)
    env.reset(lanes, [tasks[0]] * n, [(0, i) for i in range(n)])
    arrived = env.step(lanes, np.full(n, 3)).obs.mean(0)
    np.testing.assert_allclose(arrived, tasks[0].params["transitions"][0][3], atol=0.03)


@pytest.mark.parametrize(
    "name", ["navigation", "navigation-sparse", "navigation-wind", "point-robot", "bandits", "tabular-mdp", "ml1"]
)
def test_small_families_pass_gymnasiums_and_sb3s_checkers(name: str) -> None:
    tasks = ENVS[name].make()
    env = SingleTaskEnv(tasks, tasks.meta_test()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on unbounded observations
        gymnasium_check(env, skip_render_check=True)
        sb3_check(env, skip_render_check=True)
    env.close()
