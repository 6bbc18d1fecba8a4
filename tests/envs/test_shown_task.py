"""Tasks that are shown: their numbers behind the observation, and all else as without them; and an env alone."""

from __future__ import annotations

import numpy as np
import pytest

from metarl.envs.any_gym import Choice, GymTasks, Uniform
from metarl.envs.mujoco_v5.tasks import FAMILIES, RobotTasks
from metarl.envs.shown_task import task_values
from metarl.errors import UserError
from metarl.seeding import numpy_rng
from metarl.types import Task

PENDULUM = {"g": Uniform(5, 15), "l": Uniform(0.5, 1.5)}
PAIRS = {
    "pendulum": [GymTasks("Pendulum-v1", vary=PENDULUM, show_task=shown) for shown in (False, True)],
    **{
        family: [RobotTasks(family=family, show_task=shown) for shown in (False, True)]
        for family in ("cheetah-vel-pearl-v0", "ant-goal-maml-v0", "hopper-params-v0")
    },
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_numbers_of_each_lanes_task_stand_behind_its_observation(name):
    plain, shown = PAIRS[name]
    tasks = plain.sample(3, rng=numpy_rng((0,)))
    assert tasks == shown.sample(3, rng=numpy_rng((0,))) or [t.params for t in tasks] == [
        t.params for t in shown.sample(3, rng=numpy_rng((0,)))
    ]
    size, added = plain.spec.obs_dim, len(task_values(tasks[0]))
    assert shown.spec.obs_dim == size + added and shown.spec.action_dim == plain.spec.action_dim
    one, other = plain.make_env(3), shown.make_env(3)
    lanes, rng = np.arange(3), np.random.default_rng(1)
    seeds = [(5, i) for i in range(3)]
    hidden, seen = one.reset(lanes, tasks, seeds).copy(), other.reset(lanes, tasks, seeds).copy()
    for step in range(4):
        np.testing.assert_array_equal(seen[:, :size], hidden)
        np.testing.assert_array_equal(seen[:, size:], [task_values(tasks[lane]) for lane in lanes])
        if step == 2:
            lanes = np.array([0, 2])  # an episode has ended
        actions = rng.uniform(-1, 1, (len(lanes), plain.spec.action_dim))
        a, b = one.step(lanes, actions), other.step(lanes, actions)
        hidden, seen = a.obs.copy(), b.obs.copy()
        np.testing.assert_array_equal(a.rewards, b.rewards)
    assert shown.name.endswith("-shown") and plain.name != shown.name


def test_values_are_all_numbers_in_order():
    task = Task("x", {"kwargs": {"a": 1.5, "b": [2, [3.0, -4]]}, "options": {"c": True}})
    assert task_values(task) == [1.5, 2.0, 3.0, -4.0, 1.0]


def test_what_is_no_number_cannot_be_shown():
    tasks = GymTasks("Pendulum-v1", vary={"g": Choice(["a", "b"])}, show_task=True)
    with pytest.raises(UserError, match="only numbers can be shown"):
        task_values(Task("x", {"kwargs": {"g": "a"}}))
    assert tasks.show_task


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_shown(family):
    tasks = RobotTasks(family=family, show_task=True)
    assert {len(task_values(task)) for task in tasks.meta_test()} == {
        tasks.spec.obs_dim - RobotTasks(family=family).spec.obs_dim
    }


def test_an_env_alone_is_its_one_task():
    tasks = GymTasks("Pendulum-v1", one_task=True)
    assert [task.id for task in tasks.sample(3, rng=numpy_rng((0,)))] == ["Pendulum-v1"] * 3
    assert tasks.meta_test() == tasks.sample(1, rng=numpy_rng((1,))) and tasks.name == "Pendulum-v1"
    env = tasks.make_env(1)
    obs = env.reset(np.array([0]), tasks.meta_test(), [(0, 0)])
    assert obs.shape == (1, 3) and tasks.spec.horizon_steps == 200


@pytest.mark.parametrize("more", [{"vary": PENDULUM}, {"show_task": True}])
def test_an_env_alone_varies_nothing(more):
    with pytest.raises(UserError, match="one_task=True is an env of which nothing varies"):
        GymTasks("Pendulum-v1", one_task=True, **more)
