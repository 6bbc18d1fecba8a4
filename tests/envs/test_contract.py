"""What every task distribution must keep to; one with a line in the registry is covered, others by one here."""

import json
import pickle

import numpy as np
import pytest

from metarl.envs.any_gym import GymTasks, LogUniform, Uniform
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.registry import ENVS
from metarl.tasks import check_disjoint, params_key
from metarl.types import Task

NEEDS_LONG_LISTS = {"ml10", "ml25", "ml45", "mt1", "mt10", "mt25", "mt50", "cw10", "cw20"}
"""Building their goal lists takes 9 to 37 s; they share their lanes with ml1."""
DISTRIBUTIONS = {
    **{name: entry.make for name, entry in ENVS.items() if name not in NEEDS_LONG_LISTS},
    "ml1 metaworld": lambda: ML1(stepping="metaworld"),
    "ml1 object jitter": lambda: ML1(env_name="push-v3", object_jitter=0.05),
    "gym, keyword and attribute": lambda: GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15), "l": Uniform(0.5, 1.5)}),
    "gym, model fields": lambda: GymTasks(
        "Hopper-v5", model={"body_mass": LogUniform(0.5, 2.0), "dof_damping[thigh_joint]": Uniform(0.5, 2.0)}
    ),
    "gym, reset options": lambda: GymTasks(
        "tests.envs.gym_envs:Walk", options={"goal": Uniform(-1, 1, size=2)}, horizon_steps=10
    ),
    "gym, own tasks": lambda: GymTasks("tests.envs.gym_envs:OwnTasks", own_tasks=True, horizon_steps=10),
}
SAME_TASKS = {name for name, entry in ENVS.items() if entry.same_tasks}
"""Two tasks, trained on and tested on, as in the papers."""
STEPS = 10


@pytest.fixture(scope="module", params=DISTRIBUTIONS)
def tasks(request):
    return DISTRIBUTIONS[request.param]()


def skip_if_same_tasks(tasks):
    if tasks.name in SAME_TASKS:
        pytest.skip("these few tasks are trained on and tested on")


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
    skip_if_same_tasks(tasks)
    assert len({params_key(task) for task in draw(tasks, 10)}) == 10
    assert len({task.id for task in tasks.meta_test()}) == len(tasks.meta_test()) >= 10


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
    skip_if_same_tasks(tasks)
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


def test_a_task_that_went_through_json_gives_the_same_episode(tasks):
    (task,) = draw(tasks, 1)
    again = Task(task.id, json.loads(json.dumps(task.params)))
    moves, lane = actions(tasks, 1), np.array([0])
    assert_same(roll(tasks.make_env(1), lane, [task], moves), roll(tasks.make_env(1), lane, [again], moves))


def test_a_task_can_be_named_by_its_params(tasks):
    """What `metarl adapt RUN --task PARAMS` does."""
    if not callable(getattr(tasks, "task", None)):
        pytest.skip("its tasks are named by their place in the lists")
    (task,) = draw(tasks, 1)
    assert tasks.task(json.loads(json.dumps(task.params))) == task


def test_an_episode_ends_at_the_horizon(tasks):
    spec, lanes = tasks.spec, np.array([0])
    env = tasks.make_env(1)
    if spec.horizon_steps > 200:
        pytest.skip("500 steps are for tests of their own")
    env.reset(lanes, draw(tasks, 1), [(0, 0)])
    action = np.zeros(1, np.int64) if spec.discrete else np.zeros((1, spec.action_dim), np.float32)
    for step in range(1, spec.horizon_steps + 1):
        ended = env.step(lanes, action)
        assert not ended.truncated[0] or step == spec.horizon_steps
        if ended.terminated[0]:
            break


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
    some, straight_on = actions(tasks, 1), np.ones((tasks.spec.horizon_steps, *actions(tasks, 1).shape[1:]), np.float32)
    # two suffice, but for sparse rewards: of many goals, a straight walk comes near one
    for num_tasks, moves in ((2, some), (40, straight_on)):
        rolls = [roll(tasks.make_env(1), np.array([0]), [task], moves) for task in draw(tasks, num_tasks)]
        if any(not np.array_equal(x, y) for other in rolls for x, y in zip(rolls[0], other, strict=True)):
            return
    raise AssertionError("all tasks gave the same episode")


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
