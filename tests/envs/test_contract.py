"""What every task distribution must keep to; a new one is covered by a line in DISTRIBUTIONS."""

import json
import pickle

import numpy as np
import pytest

from envs.bandits import Bandits
from envs.metaworld.ml1 import ML1
from envs.navigation import Navigation
from metarl.tasks import check_disjoint, params_key
from metarl.types import Task

DISTRIBUTIONS = {
    "navigation": Navigation,
    "bandits": Bandits,
    "bandits gaussian": lambda: Bandits(kind="gaussian"),
    "ml1 fast": ML1,
    "ml1 metaworld": lambda: ML1(stepping="metaworld"),
}
STEPS = 12


@pytest.fixture(scope="module", params=DISTRIBUTIONS)
def tasks(request):
    return DISTRIBUTIONS[request.param]()


def draw(tasks, n, *, seed=0):
    return tasks.sample(n, rng=np.random.default_rng(seed))


def actions(tasks, n, *, seed=5):
    rng = np.random.default_rng(seed)
    if tasks.spec.discrete:
        return rng.integers(tasks.spec.action_dim, size=(STEPS, n))
    return rng.uniform(-1, 1, (STEPS, n, tasks.spec.action_dim)).astype(np.float32)


def roll(env, lanes, task_list, moves, *, first_seed=0):
    """Everything that a roll-out shows, copied at each step: the reset obs, then obs, reward and flags."""
    obs = env.reset(lanes, task_list, [(0, first_seed + i) for i in range(len(lanes))])
    seen = [np.array(obs)]
    for move in moves:
        obs, rewards, *flags = env.step(lanes, move)
        seen.append(np.column_stack([obs, rewards, *flags]))
    return seen


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_tasks_are_json_and_have_names_of_their_own(tasks):
    for task in (*draw(tasks, 10), *tasks.meta_test()):
        assert isinstance(task, Task)
        assert json.loads(json.dumps(task.params)) == task.params
    assert len({params_key(task) for task in draw(tasks, 10)}) == 10
    assert len({task.id for task in tasks.meta_test()}) == len(tasks.meta_test()) >= 20


def test_sample_takes_all_its_randomness_from_rng(tasks):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = draw(tasks, 5)
    np.random.seed(1)
    assert draw(tasks, 5) == first
    assert draw(tasks, 5, seed=1) != first
    np.random.seed(0)
    draw(tasks, 5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_meta_test_is_fixed_and_shares_no_task_with_meta_train(tasks):
    assert tasks.meta_test() == tasks.meta_test()
    check_disjoint(draw(tasks, 50), tasks.meta_test())


def test_shapes_and_numbers_are_those_of_the_spec(tasks):
    lanes, spec = np.arange(3), tasks.spec
    env = tasks.make_env(3)
    obs = env.reset(lanes, draw(tasks, 3), [(0, i) for i in range(3)])
    assert obs.shape == (3, spec.obs_dim)
    step = env.step(lanes, actions(tasks, 3)[0])
    assert step.obs.shape == (3, spec.obs_dim) and np.isfinite(step.obs).all()
    assert step.rewards.shape == (3,) and np.isfinite(step.rewards).all()
    for flags in (step.terminated, step.truncated, step.success):
        assert flags.shape == (3,) and flags.dtype == bool
    env.close()


def test_episodes_are_deterministic_whatever_ran_before_in_the_lane(tasks):
    """Also with other lanes, another order, and in another copy of the distribution."""
    one, other = draw(tasks, 2)
    moves = actions(tasks, 1)
    fresh = roll(tasks.make_env(1), np.array([0]), [one], moves)
    env = tasks.make_env(3)
    roll(env, np.array([0, 2]), [other, one], actions(tasks, 2, seed=9))
    assert_same(roll(env, np.array([2]), [one], moves), fresh)
    roll(env, np.array([2]), [other], actions(tasks, 1, seed=9))
    assert_same(roll(env, np.array([2]), [one], moves), fresh)
    assert_same(roll(env, np.array([1]), [one], moves), fresh)
    copy = pickle.loads(pickle.dumps(tasks))
    assert copy.spec == tasks.spec and copy.name == tasks.name
    assert_same(roll(copy.make_env(1), np.array([0]), [one], moves), fresh)


def test_lanes_in_lockstep_equal_lanes_alone(tasks):
    task_list, moves = draw(tasks, 3), actions(tasks, 3)
    together = roll(tasks.make_env(3), np.arange(3), task_list, moves)
    for lane in range(3):
        own = slice(lane, lane + 1)
        alone = roll(tasks.make_env(1), np.array([0]), task_list[own], moves[:, own], first_seed=lane)
        assert_same([seen[lane : lane + 1] for seen in together], alone)


def test_tasks_differ_in_reward_or_dynamics(tasks):
    one, other = draw(tasks, 2)
    moves = actions(tasks, 1)
    a, b = (roll(tasks.make_env(1), np.array([0]), [task], moves) for task in (one, other))
    assert any(not np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))


def test_arrays_of_lanes_share_no_memory(tasks):
    """Stepping one lane leaves what was read of another as it is, and rows are not views of one another."""
    env = tasks.make_env(2)
    obs = env.reset(np.arange(2), draw(tasks, 2), [(0, 0), (0, 1)])
    assert not np.shares_memory(obs[0], obs[1])
    moves = actions(tasks, 2)
    both = env.step(np.arange(2), moves[0])
    kept = both.obs[1].copy()
    env.step(np.array([0]), moves[1, :1])
    np.testing.assert_array_equal(both.obs[1], kept)
    after = env.step(np.array([1]), moves[1, 1:])
    assert_same(
        [after.obs[0]],
        [roll(tasks.make_env(2), np.arange(2), draw(tasks, 2), moves[:2])[-1][1, : tasks.spec.obs_dim]],
    )
