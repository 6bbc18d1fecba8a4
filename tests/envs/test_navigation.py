"""2D navigation by hand."""

import json
import math

import numpy as np
import pytest

from metarl.envs.navigation import Navigation
from metarl.types import Task

LANE = np.array([0])


def start(goal):
    env = Navigation().make_env(1)
    obs = env.reset(LANE, [Task("t", {"goal": goal})], [(0,)])
    np.testing.assert_array_equal(obs, [[0.0, 0.0]])
    return env


def test_a_step_by_hand():
    """Velocity (0.5, -1) moves the point by (0.05, -0.1); the reward is minus the distance to (0.35, 0.3)."""
    step = start([0.35, 0.3]).step(LANE, np.array([[0.5, -1.0]]))
    np.testing.assert_allclose(step.obs, [[0.05, -0.1]])
    np.testing.assert_allclose(step.rewards, [-math.hypot(0.3, 0.4)])
    assert not step.terminated[0] and not step.truncated[0] and not step.success[0]


@pytest.mark.parametrize("action, moved", [([7.0, -3.0], [0.1, -0.1]), ([-1.5, 0.2], [-0.1, 0.02])])
def test_actions_are_clipped_per_coordinate(action, moved):
    np.testing.assert_allclose(start([0.4, 0.4]).step(LANE, np.array([action])).obs, [moved])


@pytest.mark.parametrize(
    "offset, reached",
    [([0.0, 0.0], True), ([0.0099, -0.0099], True), ([0.0101, 0.0], False), ([0.0, -0.0101], False)],
)
def test_the_goal_is_a_box_of_one_hundredth(offset, reached):
    """Both coordinates within 0.01: a corner counts although it is 0.014 away."""
    goal = np.array([0.05, 0.1])
    step = start(goal.tolist()).step(LANE, (goal + offset)[None] / 0.1)
    assert step.terminated[0] == step.success[0] == reached
    assert not step.truncated[0]


def test_the_reward_is_not_squared():
    """The paper's Table 4 follows from the distance: standing still for 100 steps costs 38 on average."""
    goals = [task.params["goal"] for task in Navigation().sample(20_000, rng=np.random.default_rng(0))]
    assert -100 * np.hypot(*np.transpose(goals)).mean() == pytest.approx(-38.3, abs=0.3)


def test_goals_fill_the_square():
    goals = np.array([task.params["goal"] for task in Navigation().sample(2000, rng=np.random.default_rng(0))])
    assert np.abs(goals).max() <= 0.5
    assert (goals.min(0) < -0.49).all() and (goals.max(0) > 0.49).all()
    np.testing.assert_allclose(goals.mean(0), 0, atol=0.03)


def test_lanes_are_independent():
    env = Navigation().make_env(3)
    tasks = [Task(str(i), {"goal": [0.1 * i, 0.0]}) for i in range(3)]
    env.reset(np.arange(3), tasks, [(0,)] * 3)
    env.step(np.array([0, 2]), np.ones((2, 2)))
    env.reset(np.array([2]), [tasks[0]], [(0,)])
    step = env.step(np.arange(3), np.zeros((3, 2)))
    np.testing.assert_allclose(step.obs, [[0.1, 0.1], [0, 0], [0, 0]])
    np.testing.assert_allclose(step.rewards, [-math.hypot(0.1, 0.1), -0.1, 0])


def test_the_goal_is_hidden():
    """What the policy sees is its position, the same for all goals."""
    env = Navigation().make_env(2)
    tasks = [Task("a", {"goal": [0.1, 0.2]}), Task("b", {"goal": [-0.3, 0.4]})]
    obs = [env.reset(np.arange(2), tasks, [(0,), (1,)]), env.step(np.arange(2), np.full((2, 2), 0.7)).obs]
    for rows in obs:
        np.testing.assert_array_equal(rows[0], rows[1])


def test_held_out_goals_are_the_same_list_always():
    first, second = Navigation().meta_test(), Navigation().meta_test()
    assert first == second and len(first) == 200
    assert Navigation(test_seed=1).meta_test() != first
    assert json.loads(json.dumps(first[0].params)) == first[0].params
