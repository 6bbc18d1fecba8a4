"""Tasks and settings that a user wrote: what the distribution would never draw is refused, in a sentence."""

import numpy as np
import pytest

from metarl.envs.any_gym import Choice, GymTasks, Uniform
from metarl.envs.bandits import Bandits
from metarl.envs.metaworld.ml import ML
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.mt import MT
from metarl.envs.mujoco_v5.tasks import FAMILIES, RobotTasks
from metarl.envs.navigation import Navigation
from metarl.envs.point_robot import PointRobot
from metarl.errors import SettingError, UserError
from metarl.runs.load import find_task
from metarl.seeding import numpy_rng
from metarl.tasks import check_like, params_key


@pytest.mark.parametrize(
    "params, example, said",
    [
        ({"goal": [1, 2.5]}, {"goal": [0.0, 0.0]}, None),
        ({"goal": [1, 2, 3]}, {"goal": [0.0, 0.0]}, r"goal=\[1, 2, 3\] must be a list of 2"),
        ({"goal": 3}, {"goal": [0.0, 0.0]}, "goal=3 must be a list of 2"),
        ({"v": 1.5, "x": 1}, {"v": 0.0}, "'x' missing or unknown"),
        ({}, {"v": 0.0}, "'v' missing or unknown"),
        ({"v": float("nan")}, {"v": 0.0}, "v=nan must be a finite number"),
        ({"v": "fast"}, {"v": 0.0}, "v='fast' must be a finite number"),
        ({"body": {"mass": [1.0]}}, {"body": {"mass": [1.0, 2.0]}}, r"mass=\[1.0\] must be a list of 2"),
        (3, {"v": 0.0}, "params must hold v"),
    ],
)
def test_names_lengths_and_kinds_are_held_to_an_example(params, example, said):
    if said is None:
        check_like(params, example)
        return
    with pytest.raises(ValueError, match=said):
        check_like(params, example)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_own_tasks_pass_and_others_are_refused(family):
    tasks = RobotTasks(family=family)
    for task in tasks.sample(3, rng=numpy_rng((0,))):
        assert tasks.task(task.params) == task
        with pytest.raises(UserError, match=r"'extra' missing or unknown; such are \{"):
            tasks.task({**task.params, "extra": 1})
    with pytest.raises(UserError, match="missing or unknown"):
        tasks.task({})


@pytest.mark.parametrize(
    "tasks, text, said",
    [
        (RobotTasks(family="reacher-goal-v0"), '{"goal": [0.1, 0.1, 0.1]}', "must be a list of 2"),
        (Navigation(variant="wind"), '{"goal": [0.3, 0.2]}', "'wind' missing or unknown"),
        (Navigation(), '{"goal": [0.3, 0.2], "wind": [0, 0]}', "'wind' missing or unknown"),
        (Navigation(), '{"goal": [0.3]}', "must be a list of 2"),
        (PointRobot(), '{"angle": "north"}', "must be a finite number"),
    ],
)
def test_a_task_of_the_command_line_is_checked(tasks, text, said):
    with pytest.raises(UserError, match=said):
        find_task(tasks, text)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Navigation(variant="Sparse"), "variant='Sparse' must be .*did you mean 'sparse'"),
        (lambda: Navigation(num_test_tasks=-1), "num_test_tasks=-1"),
        (lambda: Bandits(kind="bernouli"), "kind='bernouli' must be"),
        (lambda: ML1(stepping="Fast"), "stepping='Fast' must be"),
        (lambda: ML1(reward_version="v3"), "reward_version='v3' must be"),
        (lambda: ML(benchmark="ml10"), "benchmark='ml10' must be"),
        (lambda: MT(benchmark="MT5"), "benchmark='MT5' must be"),
    ],
)
def test_a_typo_is_not_another_task(make, said):
    with pytest.raises(SettingError, match=said):
        make()


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_a_range_of_no_numbers_is_refused(size):
    with pytest.raises(UserError, match="must be a whole number >= 1"):
        Uniform(0, 1, size=size)


@pytest.mark.parametrize("seed", range(5))
def test_one_value_more_than_held_out_tasks_is_enough(seed):
    """21 values, 20 of them held out: drawing as many as are missing would give up now and then."""
    tasks = GymTasks("Pendulum-v1", vary={"g": Choice(*range(1, 22))}, test_seed=seed)
    held_out = {params_key(task) for task in tasks.meta_test()}
    assert len(held_out) == 20
    drawn = tasks.sample(20, rng=np.random.default_rng(seed))
    assert len(drawn) == 20 and len({params_key(task) for task in drawn} - held_out) == 1
