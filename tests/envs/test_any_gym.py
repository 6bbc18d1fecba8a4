"""Any gymnasium env as a task distribution: what it takes, and what it says of an env that breaks the rules."""

from __future__ import annotations

import pickle
from enum import Enum, IntEnum

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from metarl.envs.any_gym import Choice, GymTasks, LogUniform, Uniform
from metarl.envs.any_gym.effects import names_without_effect
from metarl.envs.any_gym.inspect_env import SameTasksWarning
from metarl.envs.any_gym.model_fields import rows_of
from metarl.envs.any_gym.spaces import env_action, observation_vector, picture_shape
from metarl.errors import UserError
from metarl.rollout.actor import UniformActor
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.types import Task
from tests.agents.test_contract import small as small_agent
from tests.envs.gym_envs import OwnTasks, Walk, make_walk

HERE = "tests.envs.gym_envs"
POINTS = "tests.envs.point_envs"
SPEED = {"speed": Uniform(0.05, 0.2)}


def draw(tasks, n=3, seed=0):
    return tasks.sample(n, rng=np.random.default_rng(seed))


# ---- how an env is named


@pytest.mark.parametrize(
    "env", ["Pendulum-v1", f"{HERE}:metarl-tests/Walk-v0", f"{HERE}:Walk", f"{HERE}:make_walk", Walk, make_walk]
)
def test_an_env_by_id_by_module_and_by_factory(env) -> None:
    vary = {"g": Uniform(5, 15)} if env == "Pendulum-v1" else SPEED
    tasks = GymTasks(env, vary=vary, horizon_steps=10)
    assert tasks.spec.horizon_steps == 10 and isinstance(tasks.env, str)
    lanes = pickle.loads(pickle.dumps(tasks)).make_env(2)
    obs = lanes.reset(np.arange(2), draw(tasks, 2), [(0, 0), (0, 1)])
    assert obs.shape == (2, tasks.spec.obs_dim)
    lanes.close()


def test_the_horizon_of_a_registered_env_is_its_own() -> None:
    assert GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15)}).spec.horizon_steps == 200


@pytest.mark.parametrize("agent", ["maml", "rl2", "sac"])
def test_a_limit_that_stands_for_none_costs_nothing_where_episodes_end(agent: str) -> None:
    """Registered with 10^9 steps, and over after 30: all that is made of it is of 30 steps."""
    tasks = GymTasks(f"{POINTS}:metarl-tests/EndsEarly-v0", vary={"goal": Uniform(-1, 1)})
    assert tasks.spec.horizon_steps == 10**9
    learner, drawn = small_agent(agent)(tasks.spec, 0), draw(tasks, 2)
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        batch = collect_meta_batch(pool, learner.behaviour(), drawn, support_episodes=2, query_episodes=2, seed=(0,))
        learner.meta_update(batch)
    assert {data.query.mask.shape for data in batch} == {(2, 30)}


# ---- what may vary


def test_a_keyword_makes_the_env_anew_and_an_attribute_sets_it() -> None:
    tasks = GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15), "l": Uniform(0.5, 1.5)})
    (task,) = draw(tasks, 1)
    assert set(task.params) == {"kwargs", "attributes"}
    env = tasks.gym_env(task).unwrapped
    assert (env.g, env.l) == (task.params["kwargs"]["g"], task.params["attributes"]["l"])


def test_fields_of_the_model_are_scaled_from_its_own_values_each_time() -> None:
    tasks = GymTasks("Hopper-v5", model={"body_mass[torso]": LogUniform(0.5, 2), "actuator_gainprm": Uniform(0.5, 2)})
    plain = gym.make("Hopper-v5").unwrapped.model
    lanes = tasks.make_env(1)
    for task in draw(tasks, 3):
        lanes.reset(np.array([0]), [task], [(0, 0)])
        model = lanes.lanes()[0].env.unwrapped.model
        factors = task.params["model"]
        np.testing.assert_allclose(model.body_mass[1], plain.body_mass[1] * factors["body_mass[torso]"])
        np.testing.assert_array_equal(model.body_mass[2:], plain.body_mass[2:])
        np.testing.assert_allclose(model.actuator_gainprm, plain.actuator_gainprm * factors["actuator_gainprm"])
        assert model.body_subtreemass[1] == pytest.approx(model.body_mass[1:].sum())  # derived values follow


def test_a_joint_is_all_of_its_degrees_of_freedom() -> None:
    joints = ("free", "ball", "slide", "hinge")
    bodies = [f'<body><joint name="{kind}" type="{kind}"/><geom size="1"/></body>' for kind in joints]
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{''.join(bodies)}</worldbody></mujoco>")
    rows = [rows_of(model, f"dof_armature[{kind}]", "env")[1] for kind in joints]
    assert rows == [slice(0, 6), slice(6, 9), slice(9, 10), slice(10, 11)]


def test_attributes_that_stay_as_set_may_vary() -> None:
    vary = {"gain": Uniform(1, 2), "offset": Uniform(0, 1, size=2)}
    assert GymTasks(f"{HERE}:Attributes", vary=vary, horizon_steps=5).spec.obs_dim == 2
    assert GymTasks(f"{HERE}:Attributes", vary={"percent": Uniform(10, 90)}, horizon_steps=5).spec.obs_dim == 2


def test_workers_look_for_themselves() -> None:
    """Luck of the process: `hash` of a text or the process's id do not show in the process that looks first."""
    tasks = GymTasks(f"{POINTS}:LuckOfTheProcess", vary={"goal": Uniform(-1, 1)}, horizon_steps=20)
    jobs = [RolloutJob(task=tasks.meta_test()[0], phi={}, num_episodes=1, seed=(0,))]
    with (
        RolloutPool(tasks, PoolConfig(workers=1)) as pool,
        pytest.raises(UserError, match="another process gives anot"),
    ):
        pool.collect(jobs, UniformActor(action_dim=1, discrete=False))


def test_tasks_that_look_alike_get_a_warning_and_no_more() -> None:
    with pytest.warns(SameTasksWarning, match=r"3 different tasks gave the same episode.*metarl check-env"):
        assert GymTasks(f"{HERE}:SameTasks", vary=SPEED, horizon_steps=10).spec.obs_dim == 2
    assert GymTasks(f"{HERE}:RareReward", vary=SPEED, horizon_steps=10).spec  # the whole episode tells them apart
    same_draws = GymTasks(Walk, vary={"speed": Choice(0.1)}, horizon_steps=5, num_test_tasks=1)
    assert same_draws.spec  # a warning would be an error here


@pytest.mark.parametrize(
    ("env", "more", "name"),
    [
        ("DrawsOver", {"vary": {"goal": Uniform(-1, 1), "start": Uniform(-1, 1)}}, "start"),
        ("DrawsOver", {"vary": {"goal": Uniform(-1, 1), "unread": Uniform(0, 1)}}, "unread"),
        ("DrawsOver", {"vary": {"goal": Uniform(-1, 1)}, "options": {"to": Uniform(0, 1)}}, "to"),
        ("Cart", {"vary": {"goal": Uniform(-1, 1)}, "model": {"geom_rgba": Uniform(0, 1)}}, "geom_rgba"),
        ("OwnTaskDrawnOver", {"vary": {"goal": Uniform(-1, 1)}, "own_tasks": True}, "own task"),
    ],
)
def test_a_name_without_effect_beside_one_that_has_is_told(env: str, more, name: str) -> None:
    with pytest.warns(SameTasksWarning, match=f"{name} had no effect: another value alone gave the same episode"):
        assert GymTasks(f"{POINTS}:{env}", **more, horizon_steps=20).spec


def test_a_mixture_of_tasks_that_the_env_refuses_tells_them_apart() -> None:
    tasks = [Task(str(goal), {"kwargs": {"goal": goal, "twice": 2 * goal}}) for goal in (0.5, -0.25, 0.75)]
    assert names_without_effect(f"{POINTS}:Pairs", {}, tasks, 20) == ([], 2)


def test_factors_of_the_model_that_have_an_effect_are_not_told() -> None:
    vary = {"goal": Uniform(-1, 1)}
    model = {"body_mass[cart]": LogUniform(0.1, 10)}
    assert GymTasks(f"{POINTS}:Cart", vary=vary, model=model, horizon_steps=20).spec.obs_dim == 2


def test_what_an_env_says_of_success_is_seen_at_the_first_look() -> None:
    vary = {"goal": Uniform(-1, 1)}
    assert GymTasks(f"{POINTS}:Success", vary=vary, horizon_steps=5).spec.measures_success is True
    assert GymTasks(f"{POINTS}:Point", vary=vary, horizon_steps=5).spec.measures_success is None


def test_what_an_env_says_of_success_at_the_end_of_an_episode_is_seen_too() -> None:
    tasks = GymTasks(f"{POINTS}:FailsAtItsEnd", vary={"goal": Uniform(-1, 1)}, horizon_steps=50)
    assert tasks.spec.measures_success is True


def test_options_reach_reset() -> None:
    tasks = GymTasks(Walk, options={"goal": Uniform(-1, 1, size=2)}, horizon_steps=10)
    (task,) = draw(tasks, 1)
    lanes = tasks.make_env(1)
    position = lanes.reset(np.array([0]), [task], [(0, 0)])[0]
    step = lanes.step(np.array([0]), np.zeros((1, 2), np.float32))
    assert step.rewards[0] == pytest.approx(-np.hypot(*(position - task.params["options"]["goal"])))


def test_the_envs_own_tasks_come_from_rng_and_reach_set_task_as_they_were() -> None:
    tasks = GymTasks(OwnTasks, own_tasks=True, horizon_steps=10)
    assert draw(tasks) == draw(tasks) != draw(tasks, seed=1)
    lanes = tasks.make_env(1)
    lanes.reset(np.array([0]), draw(tasks, 1), [(0, 0)])  # its set_task asserts an array


def test_held_out_tasks_are_never_trained_on() -> None:
    tasks = GymTasks(Walk, vary={"speed": Choice(0.1, 0.2, 0.3, 0.4)}, horizon_steps=10, num_test_tasks=2)
    held_out = {task.params["kwargs"]["speed"] for task in tasks.meta_test()}
    trained = {task.params["kwargs"]["speed"] for task in draw(tasks, 50)}
    assert len(held_out) == 2 and trained == {0.1, 0.2, 0.3, 0.4} - held_out


def test_a_task_from_plain_names() -> None:
    tasks = GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15), "l": Uniform(0.5, 1.5)})
    assert tasks.task({"l": 1.0, "g": 9.0}).params == {"attributes": {"l": 1.0}, "kwargs": {"g": 9.0}}
    with pytest.raises(UserError, match="no parameter 'gg'"):
        tasks.task({"gg": 1.0})
    given = {"attributes": {"l": 1.0}, "g": 9.0}
    tasks.task(given)
    assert given == {"attributes": {"l": 1.0}, "g": 9.0}  # not filled in


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"g": "a"}, "g='a' must be a finite number, as Uniform(5, 15) draws; give such a value"),
        ({"g": True}, "g=True must be a finite number"),
        ({"kwargs": {"g": float("nan")}}, "g=nan must be a finite number"),
        ({"g": [9.0]}, "g=[9.0] must be a finite number"),
        ({"goal": 1.0}, "goal=1.0 must be 2 finite numbers, as Uniform(-1, 1, size=2) draws"),
        ({"goal": [1.0, [2.0]]}, "goal=[1.0, [2.0]] must be 2 finite numbers"),
        ({"way": "left"}, "way='left' must be a finite number, as Choice(-1, 1) draws"),
        ({"attributes": 3}, "attributes=3 must hold names and values"),
    ],
)
def test_a_task_of_other_values_than_are_drawn_is_refused(params, said: str) -> None:
    vary = {"g": Uniform(5, 15), "way": Choice(-1, 1), "name": Choice("a", "b"), "lists": Choice([1], [1, 2])}
    tasks = GymTasks(f"{HERE}:takes_all", vary=vary, options={"goal": Uniform(-1, 1, size=2)}, horizon_steps=5)
    assert tasks.task({"g": 99, "goal": [5, 5], "name": "c", "lists": [3]}).params["kwargs"]["g"] == 99
    with pytest.raises(UserError) as caught:
        tasks.task(params)
    assert said in str(caught.value)


# ---- spaces


def test_dict_and_discrete_are_flattened_and_counted_from_their_start() -> None:
    tasks = GymTasks(f"{HERE}:Rooms", vary=SPEED, horizon_steps=10)
    assert (tasks.spec.obs_dim, tasks.spec.action_dim, tasks.spec.discrete) == (7, 2, True)
    lanes = tasks.make_env(1)
    obs = lanes.reset(np.array([0]), draw(tasks, 1), [(0, 0)])
    np.testing.assert_array_equal(obs[0], [0, 0, 0, 0, 1, 0, 0])  # keys in the space's order: place, room
    step = lanes.step(np.array([0]), np.array([1]))  # action 2: two rooms on
    np.testing.assert_allclose(step.obs[0], [0.01] * 4 + [0, 0, 1], rtol=1e-6)


def test_actions_are_scaled_to_a_bounded_box_and_pass_an_unbounded_one() -> None:
    scale, size, discrete = env_action(gym.spaces.Box(np.array([0, -2]), np.array([10, 2]), dtype=np.float32), "a")
    np.testing.assert_array_equal(scale(np.array([-1.0, 0.5])), [0, 1])
    np.testing.assert_array_equal(scale(np.array([9.0, -9.0])), [10, -2])
    assert (size, discrete) == (2, False)
    for far in (np.finfo(np.float32).max, 1e10):  # no bounds, whatever they are called
        for low in (0, -far):
            free, _, _ = env_action(gym.spaces.Box(low, far, (2,), np.float32), "a")
            np.testing.assert_array_equal(free(np.array([0.25, 7.0])), [0.25, 7])
    free, _, _ = env_action(gym.spaces.Box(-np.inf, np.inf, (2,)), "a")
    np.testing.assert_array_equal(free(np.array([5.0, -7.0])), [5, -7])


def test_a_picture_has_its_channels_last_and_its_pixels_from_0_to_1() -> None:
    picture = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(4, 5, 3)
    to_vector, size = observation_vector(gym.spaces.Box(0, 255, (4, 5, 3), np.uint8), "a")
    np.testing.assert_array_equal(to_vector(picture), picture.reshape(-1) / np.float32(255))
    first, _ = observation_vector(gym.spaces.Box(0, 255, (3, 4, 5), np.uint8), "a")
    np.testing.assert_array_equal(first(np.moveaxis(picture, -1, 0)), to_vector(picture))
    assert size == 60
    for shape, found in (((4, 5, 3), (4, 5, 3)), ((3, 4, 5), (4, 5, 3)), ((8, 8, 8), (8, 8, 8))):
        assert picture_shape(gym.spaces.Box(0, 255, shape, np.uint8)) == found
    assert picture_shape(gym.spaces.Box(0, 1, (4, 5, 3), np.float32)) is None


def test_spaces_that_cannot_be_a_vector_are_named() -> None:
    with pytest.raises(UserError, match=r"observation is Text.*FlattenObservation"):
        observation_vector(gym.spaces.Text(3), "observation")
    with pytest.raises(UserError, match=r"MultiBinary.*must be a Box of floats or Discrete"):
        env_action(gym.spaces.MultiBinary(3), "its action space")


def test_a_bound_is_rounded_as_its_space_is() -> None:
    assert GymTasks(f"{POINTS}:AtTheBound", vary={"goal": Uniform(-1, 1)}, horizon_steps=5).spec.obs_dim == 2


def point(name: str) -> GymTasks:
    return GymTasks(f"{POINTS}:{name}", vary={"goal": Uniform(-1, 1)}, horizon_steps=5)


def with_keyword(value: object) -> GymTasks:
    return GymTasks(f"{POINTS}:Point", vary={"goal": Uniform(-1, 1)}, kwargs={"mode": value}, horizon_steps=5)


class Mode(Enum):
    HARD = "hard"


class Level(IntEnum):
    FIRST = 1


def walk(name: str) -> GymTasks:
    return GymTasks(f"{HERE}:{name}", vary=SPEED, horizon_steps=5)


# ---- bad input: each a sentence with env, fact and remedy, before any worker starts


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: GymTasks("Pendulun-v1", vary=SPEED),
            "'Pendulun-v1' is not registered in gymnasium (did you mean 'Pendu",
        ),
        (lambda: GymTasks("pendulum_maml", vary=SPEED), "'pendulum_maml' is an experiment, not an environment; give"),
        (lambda: GymTasks("no_such_package:Env-v0", vary=SPEED), "module 'no_such_package' cannot be imported"),
        (
            lambda: GymTasks(f"{HERE}:Wlak", vary=SPEED, horizon_steps=5),
            "neither registers 'Wlak' nor has a function of that",
        ),
        (
            lambda: GymTasks(f"{HERE}:not_an_env", vary=SPEED, horizon_steps=5),
            "has neither a constructor keyword|made a dict",
        ),
        (lambda: GymTasks(lambda: Walk(), vary=SPEED), "cannot be pickled"),
        (lambda: GymTasks(Walk(), vary=SPEED), "not a live"),
        (lambda: GymTasks(Walk), "nothing varies between tasks"),
        (lambda: GymTasks(Walk, vary=SPEED), "is a class or function, without a time limit; give horizon_steps"),
        (lambda: GymTasks(f"{HERE}:OldStep", vary=SPEED, horizon_steps=5), "step returned 4 values instead of"),
        (
            lambda: GymTasks(f"{HERE}:OldReset", vary=SPEED, horizon_steps=5),
            "reset returned one ndarray instead of (obs, info)",
        ),
        (lambda: GymTasks(f"{HERE}:ResetWithoutSeed", vary=SPEED, horizon_steps=5), "gymnasium's signature is"),
        (
            lambda: GymTasks(f"{HERE}:Outside", vary=SPEED, horizon_steps=5),
            "outside its observation_space: entry [0] is",
        ),
        (lambda: GymTasks(f"{HERE}:WrongShape", vary=SPEED, horizon_steps=5), "it has shape (2,) and its space (3,)"),
        (lambda: GymTasks(f"{HERE}:SpaceOfItsTask", vary=SPEED, horizon_steps=5), "action_space changes between tasks"),
        (lambda: GymTasks(f"{HERE}:IgnoresSeed", vary=SPEED, horizon_steps=5), "ignores its seed"),
        (lambda: GymTasks(f"{HERE}:NaNReward", vary=SPEED, horizon_steps=5), "the reward of step 1 is nan"),
        (lambda: GymTasks(f"{HERE}:Raises", vary=SPEED, horizon_steps=5), "OSError: the robot is not plugged in"),
        (lambda: GymTasks(f"{HERE}:PixelsAndText", vary=SPEED, horizon_steps=5), "observation is Text|Text(1, 10"),
        (lambda: GymTasks(f"{HERE}:TwoHands", vary=SPEED, horizon_steps=5), "must be a Box of floats or Discrete"),
        (
            lambda: GymTasks(Walk, vary={"sped": Uniform(0, 1)}, horizon_steps=5),
            "attribute 'sped' (did you mean 'speed'?)",
        ),
        (
            lambda: GymTasks("Hopper-v5", model={"body_mas": Uniform(0, 1)}),
            "no field 'body_mas' to scale (did you mean 'body_mass'?)",
        ),
        (
            lambda: GymTasks("Hopper-v5", model={"body_mass[head]": Uniform(0, 1)}),
            "no body 'head'; it has world, torso",
        ),
        (
            lambda: GymTasks("Hopper-v5", model={"body_mass": Uniform(1, 2, size=3)}),
            "cannot scale model field 'body_mass' of shape (5,); draw one number",
        ),
        (lambda: GymTasks(Walk, vary={"speed": (0.1, 0.2)}), "speed=(0.1, 0.2) must be Uniform, LogUniform or Choice"),
        (
            lambda: GymTasks(f"{HERE}:Attributes", vary={"fixed": Uniform(0, 0.4)}, horizon_steps=5),
            "reset overwrites the attribute 'fixed', which varies between tasks",
        ),
        (
            lambda: GymTasks(f"{HERE}:Attributes", vary={"computed": Uniform(2, 3)}, horizon_steps=5),
            "raised AttributeError: property 'computed' of 'Attributes' object has no setter; fix the env",
        ),
        (
            lambda: GymTasks(f"{HERE}:GlobalTasks", own_tasks=True, horizon_steps=5),
            f"env '{HERE}:GlobalTasks': sample_tasks gave other tasks for an equal generator, so the held-out tasks "
            "would change from run to run; draw from self.np_random or take rng=",
        ),
        (
            lambda: GymTasks(f"{HERE}:TasksItRefuses", own_tasks=True, horizon_steps=5),
            "set_task raised RuntimeError: the task server is down (gym_envs.py, line ",
        ),
        (
            lambda: GymTasks(f"{HERE}:TasksItCannotDraw", own_tasks=True, horizon_steps=5),
            "sample_tasks(1) raised RuntimeError: the task server is down",
        ),
        (lambda: walk("KeyErrorInStep"), "step raised KeyError: 'goal' (gym_envs.py, line "),
        (lambda: walk("AttributeErrorInReset"), "reset raised AttributeError: 'AttributeErrorInReset' object has no"),
        (
            lambda: walk("TypeErrorInReset"),
            "reset raised TypeError: object of type 'int' has no len() (gym_envs",
        ),
        (lambda: walk("GoalOutside"), "reset raised ValueError: goal is outside the workspace (gym_envs.py, line "),
        (lambda: walk("old_step_in_a_wrapper"), "step returned what its wrapper could not unpack"),
        (lambda: walk("NoReward"), "the reward of step is None, not a number"),
        (lambda: walk("RewardOfShape1"), "not a number; return a float"),
        (lambda: walk("NoInfo"), "the info of step is None, not a dict"),
        (lambda: walk("NoSpace"), "its observation_space is None, not a gymnasium Space; set it in the class"),
        (lambda: walk("NotNumbers"), "it is ['a', 'b'], no array of numbers"),
        (lambda: GymTasks("Hopper-v5", model={"body mass": Uniform(0, 1)}), "is not NAME or NAME[ELEMENT]"),
        (lambda: GymTasks("Pendulum-v1", model={"body_mass": Uniform(0, 1)}), "has no MuJoCo model"),
        (lambda: GymTasks(Walk, own_tasks=True, horizon_steps=5), "has no sample_tasks and no set_task"),
        (lambda: Uniform(3, 3), "Uniform(3, 3) is empty"),
        (lambda: Uniform(5, 2), "Uniform(5, 2) is empty"),
        (lambda: LogUniform(0, 2), "no logarithm at its low end"),
        (lambda: Choice(), "nothing to choose"),
        (lambda: Uniform("0", 1), "Uniform('0', 1) must go from one number to another"),  # type: ignore[arg-type]
        (lambda: Uniform(np.zeros(2), np.ones(2)), "must go from one number to another; draw lists by size="),
        (lambda: LogUniform(None, 1), "LogUniform(None, 1) must go from one number"),  # type: ignore[arg-type]
        (lambda: GymTasks(Walk, vary=["speed"]), "vary=['speed'] must be a dict by name"),  # type: ignore[arg-type]
        (lambda: GymTasks(Walk, vary={1: Uniform(0, 1)}), "must be a dict by name; write"),  # type: ignore[arg-type]
        (lambda: with_keyword("\udcff"), "is not plain data ('utf-8' codec can't encode"),
        (lambda: with_keyword(Mode.HARD), "kwargs.mode=<Mode.HARD: 'hard'> would come back from config.json as 'hard'"),
        (lambda: with_keyword(Level.FIRST), "kwargs.mode=<Level.FIRST: 1> would come back from config.json as 1"),
        (lambda: with_keyword({0: 50.0}), "the key 0 of env 'tests.envs.point_envs:Point': kwargs.mode would come"),
        (lambda: with_keyword({"size": (2, 3)}), "kwargs.mode.size=(2, 3) would come back from config.json as [2, 3]"),
        (lambda: with_keyword(b"abc"), "kwargs.mode=b'abc' would come back from config.json as 'YWJj'"),
        (lambda: with_keyword(frozenset({1})), "kwargs.mode=frozenset({1}) would come back from config.json as [1]"),
        (lambda: with_keyword(np.ones(2)), "kwargs={'mode': array([1., 1.])} is not plain data"),
        (lambda: Choice((1, 0), (0, 1)), "Choice[0]=(1, 0) would come back from config.json as [1, 0]"),
        (lambda: Choice(Mode.HARD, 1), "Choice[0]=<Mode.HARD: 'hard'> would come back from config.json"),
        (lambda: point("LuckAtConstruction"), "reset(seed=7) of two new envs gave different episodes"),
        (lambda: point("LuckOfNpRandom"), "in reset and step, not in __init__"),
        (lambda: walk("RemembersEpisodes"), "an episode depends on the one before it; set every field of the env's"),
        (
            lambda: point("rewards_by_running_statistics"),
            "depends on the one before it; its wrapper NormalizeReward keeps running statistics: leave it out",
        ),
        (lambda: point("one_for_all"), "its factory returns the same env at each call"),
        (lambda: point("NoFlag"), "terminated of step is array([False, False]), not a truth value"),
        (lambda: point("NothingSeen"), "it is None, no array of numbers"),
        (lambda: point("EndsItsProcess"), "step raised SystemExit: 3 (point_envs.py, line"),
        (lambda: point("CloseRaises"), "close raised AttributeError: 'CloseRaises' object has no attribute 'server'"),
        (
            lambda: GymTasks(f"{POINTS}:BuildsAnew", model={"body_mass": LogUniform(0.1, 10)}, horizon_steps=5),
            "reset builds the MuJoCo model anew",
        ),
        (
            lambda: GymTasks(f"{POINTS}:BuildsAtSecond", model={"body_mass": LogUniform(0.1, 10)}, horizon_steps=5),
            "reset builds the MuJoCo model anew",
        ),
        (
            lambda: GymTasks(f"{POINTS}:SetsItsMass", model={"body_mass": LogUniform(0.1, 10)}, horizon_steps=5),
            "reset overwrites the model field 'body_mass'",
        ),
        (
            lambda: GymTasks(f"{POINTS}:metarl-tests/NoLimit-v0", vary={"goal": Uniform(-1, 1)}),
            "of 1000000 steps, and an episode of random actions has not ended after 20000; give horizon_steps",
        ),
        (
            lambda: GymTasks("metarl-tests/HereOnly-v0", vary={"goal": Uniform(-1, 1)}),
            "is known to this process only, for workers do not import what registered it; write "
            f"'{POINTS}:metarl-tests/HereOnly-v0'",
        ),
        (
            lambda: GymTasks("metarl-tests/HereByLambda-v0", vary={"goal": Uniform(-1, 1)}),
            f"write '{POINTS}:metarl-tests/HereByLambda-v0'",
        ),
        (
            lambda: GymTasks("__main__:typed_in", vary={"goal": Uniform(-1, 1)}, horizon_steps=5),
            "worker processes do not see what a notebook or a prompt holds: write it into a file",
        ),
    ],
)
def test_bad_input_is_a_sentence(make, said: str) -> None:
    with pytest.raises(UserError) as caught:
        _ = make().spec
    assert any(part in str(caught.value) for part in said.split("|")), str(caught.value)
    assert "\n" not in str(caught.value)


def test_faults_of_the_module_itself_are_said(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_written.py").write_text("class Env(\n")
    with pytest.raises(UserError, match=r"module 'half_written' cannot be imported \(SyntaxError: .*half_written.py"):
        _ = GymTasks("half_written:Env", vary=SPEED, horizon_steps=5).spec
    lost = gym.envs.registration.EnvSpec("metarl-tests/Lost-v0", "no_such_package:Env")
    monkeypatch.setitem(gym.registry, lost.id, lost)
    with pytest.raises(UserError, match="its entry point 'no_such_package:Env' cannot be loaded"):
        _ = GymTasks(f"{HERE}:metarl-tests/Lost-v0", vary=SPEED, horizon_steps=5).spec


def test_numbers_of_numpy_are_taken_as_pythons() -> None:
    numbers = GymTasks(
        f"{POINTS}:DrawsOver",
        vary={"goal": Choice(*np.arange(5))},
        kwargs={"start": np.float32(0.5), "more": {"n": [np.int64(4)]}},
        horizon_steps=np.int64(5),  # type: ignore[arg-type]
        num_test_tasks=1,
    )
    assert numbers.vary["goal"].values == (0, 1, 2, 3, 4) and numbers.kwargs == {"start": 0.5, "more": {"n": [4]}}
    values = [*numbers.vary["goal"].values, numbers.kwargs["start"], numbers.kwargs["more"]["n"][0]]
    assert {type(value) for value in (*values, numbers.horizon_steps)} == {int, float}
    assert Uniform(0, 1, size=np.int64(2)).size == 2  # type: ignore[arg-type]


def test_too_few_tasks_for_a_split_is_said() -> None:
    tasks = GymTasks(Walk, vary={"speed": Choice(0.1, 0.2)}, horizon_steps=5, num_test_tasks=3)
    with pytest.raises(UserError, match="no more than 2 different tasks, and num_test_tasks=3"):
        tasks.meta_test()
    tasks = GymTasks(Walk, vary={"speed": Choice(0.1, 0.2)}, horizon_steps=5, num_test_tasks=2)
    with pytest.raises(UserError, match="held-out"):
        draw(tasks)


def test_a_task_is_an_ordinary_task() -> None:
    assert all(isinstance(task, Task) for task in draw(GymTasks(Walk, vary=SPEED, horizon_steps=5)))
