"""A lane of one gymnasium env: what the env writes stays its own, and what it returns is looked at in each step."""

from __future__ import annotations

from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest

from metarl.envs.any_gym import Choice, GymTasks, LogUniform, Uniform
from metarl.envs.any_gym.lane import GymLane
from metarl.errors import UserError
from metarl.rollout.lanes import EnvFault
from metarl.types import Task
from tests.envs import point_envs

HERE = "tests.envs.point_envs"


def episode(lane: GymLane, task: Task, *, num_steps: int = 30, seed: int = 0) -> list[float]:
    """Its rewards under actions of 0."""
    lane.reset(task, (seed,))
    assert lane.env is not None
    action = np.zeros(lane.env.action_space.shape or (), np.int64)
    return [lane.step(action).reward for _ in range(num_steps)]


# ---- what a task gives


@pytest.mark.parametrize(
    "params",
    [
        {"options": {"goal": [1.0]}},
        {"kwargs": {"goal": [1.0]}},
        {"attributes": {"goal": [1.0]}},
    ],
)
def test_an_env_that_moves_its_goal_moves_a_copy(params) -> None:
    task, lane = Task("moving", deepcopy(params)), GymLane(f"{HERE}:MovingGoal", {})
    first = episode(lane, task)
    assert first[0] != first[-1]  # it does move
    assert episode(lane, task) == first == episode(GymLane(f"{HERE}:MovingGoal", {}), task)
    assert task.params == params


def test_values_of_a_choice_stay_those_of_the_config() -> None:
    tasks = GymTasks(f"{HERE}:MovingGoal", options={"goal": Choice([0.1], [0.5])}, horizon_steps=20, num_test_tasks=1)
    (task,) = tasks.meta_test()
    before = deepcopy((task.params, tasks.options))
    episode(GymLane(tasks.env, {}), task)
    assert (task.params, tasks.options) == before


def test_what_a_task_does_not_name_is_the_envs_own_again() -> None:
    lane, own = GymLane("Pendulum-v1", {}), gym.make("Pendulum-v1").unwrapped
    lane.become({"attributes": {"l": 1.5}})
    env = lane.become({"attributes": {"m": 0.5}}).unwrapped
    assert (env.l, env.m) == (own.l, 0.5)
    lane = GymLane(f"{HERE}:Cart", {})
    mass = lane.become({}).unwrapped.model.body_mass[1]
    lane.become({"model": {"body_mass[cart]": 3.0}})
    model = lane.become({"model": {"dof_damping": 2.0}}).unwrapped.model
    assert model.body_mass[1] == mass == lane.become({}).unwrapped.model.body_mass[1]


def test_a_seed_fits_an_int_of_c() -> None:
    lane = GymLane(f"{HERE}:SeedOfC", {})
    for seed in range(20):  # half of them would be too large as 32 bits without a sign
        lane.reset(Task("any", {}), (seed,))


# ---- what the env returns


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("short obs", "its observation is not of its space: it has shape (1,) and its space (2,)"),
        ("plain obs", "it has shape () and its space (2,)"),
        ("long obs", "it has shape (4,) and its space (2,)"),
        ("no obs", "it is None, no array of numbers"),
        ("text reward", "the reward of step is '1.5', not a number"),
        ("text flag", "terminated of step is 'False', not a truth value; return True or False"),
        ("nan flag", "terminated of step is nan, not a truth value"),
        ("two flags", "terminated of step is array([False, False]), not a truth value"),
        ("text success", "info['success'] of step is 'False', not a truth value"),
        ("old step", "step returned 4 values instead of"),
        ("fault", "step raised KeyError: 'goal' (point_envs.py, line "),
    ],
)
def test_a_fault_after_the_first_look_names_env_task_seed_and_step(what: str, said: str) -> None:
    tasks = GymTasks(f"{HERE}:Later", vary={"goal": Uniform(-1, 1), "what": Choice(what)}, horizon_steps=20)
    assert tasks.spec.obs_dim == 2  # nothing shows yet
    (task,) = tasks.sample(1, rng=np.random.default_rng(0))
    with pytest.raises(UserError) as caught:
        episode(GymLane(tasks.env, {}), task)
    text = str(caught.value)
    assert text.startswith(f"env '{HERE}:Later'") and said in text and "\n" not in text
    number = int(np.random.SeedSequence(0).generate_state(1)[0] >> 1)
    assert f"(task {task.id!r}, reset(seed={number}), step 25)" in text


@pytest.mark.parametrize("last", [-1, 5, 2.7, "2", None, np.array([1])])
def test_a_state_that_is_none_is_not_counted_from_the_end(last) -> None:
    lane = GymLane(f"{HERE}:States", {})
    with pytest.raises(UserError, match=r"its observation is not of its space: .* is not in Discrete\(5\)"):
        episode(lane, Task("last", {"attributes": {"last": last}}))
    assert len(episode(lane, Task("good", {"attributes": {"last": np.int64(4)}}))) == 30


@pytest.mark.parametrize(
    ("said", "success"),
    [
        (True, True),
        (np.False_, False),
        (1, True),
        (0.0, False),
        (np.array([1.0]), True),
        (None, True),  # not said, and is_success is
    ],
)
def test_success_is_a_truth_value(said, success: bool) -> None:
    lane = GymLane(f"{HERE}:Success", {})
    lane.reset(Task("said", {"attributes": {"said": said}}), (0,))
    assert lane.step(np.zeros(1)).success is success


@pytest.mark.parametrize("said", [float("nan"), -1.0, 0.3, "False", {"arm": False}, [False, True], [[1], [1, 2]]])
def test_anything_else_is_no_success(said) -> None:
    lane = GymLane(f"{HERE}:Success", {})
    lane.reset(Task("said", {"attributes": {"said": said}}), (0,))
    with pytest.raises(UserError, match=r"info\['success'\] of step is .* not a truth value; return True or False"):
        lane.step(np.zeros(1))


def test_a_model_that_is_built_anew_later_is_told_in_the_lane() -> None:
    tasks = GymTasks(f"{HERE}:BuildsLater", model={"body_mass[cart]": LogUniform(0.1, 10)}, horizon_steps=5)
    (task,) = tasks.sample(1, rng=np.random.default_rng(0))
    lane = GymLane(tasks.env, {})
    for seed in range(8):
        lane.reset(task, (seed,))
    with pytest.raises(UserError, match="reset builds the MuJoCo model anew, so that the factors in `model` are lost"):
        lane.reset(task, (8,))


def test_a_lost_connection_is_left_to_the_pool_which_tries_again() -> None:
    tasks = GymTasks(f"{HERE}:LostSimulator", vary={"goal": Uniform(-1, 1)}, horizon_steps=8)
    lanes = tasks.make_env(1)
    lanes.reset(np.array([0]), tasks.sample(1, rng=np.random.default_rng(0)), [(0,)])
    with pytest.raises(EnvFault, match="step 25"):
        for _ in range(25):
            lanes.step(np.array([0]), np.zeros((1, 1)))


def test_an_error_is_not_hidden_by_the_close_that_follows() -> None:
    with pytest.raises(UserError, match="step raised KeyError"):
        _ = GymTasks(f"{HERE}:CloseRaisesToo", vary={"goal": Uniform(-1, 1)}, horizon_steps=8).spec
    assert point_envs.CloseRaises.close is not gym.Env.close
