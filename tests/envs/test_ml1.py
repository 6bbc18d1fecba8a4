"""ML1: the goals are metaworld's own, split as it says, hidden, and cached as data."""

import json
import os
import pickle

import gymnasium as gym
import metaworld
import numpy as np
import pytest

from metarl.envs.metaworld import goals
from metarl.envs.metaworld.goals import ml1_goals
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.names import TASK_NAMES
from metarl.errors import UserError
from metarl.tasks import params_key

LANE = np.array([0])


@pytest.fixture(scope="module")
def official():
    """metaworld's own benchmark with the same seed."""
    state = np.random.get_state()
    yield metaworld.ML1("reach-v3", seed=42)
    np.random.set_state(state)


def vectors(tasks):
    return [pickle.loads(task.data)["rand_vec"].tolist() for task in tasks]


def test_goals_are_metaworlds_in_their_order(official):
    ours = ML1(env_name="reach-v3", goals_seed=42)
    assert [t.params["rand_vec"] for t in ours.meta_train()] == vectors(official.train_tasks)
    assert [t.params["rand_vec"] for t in ours.meta_test()] == vectors(official.test_tasks)
    assert len(ours.meta_train()) == len(ours.meta_test()) == 50
    for split, tasks in (("train", ours.meta_train()), ("test", ours.meta_test())):
        assert [t.id for t in tasks] == [f"reach-v3/{split}/{i}" for i in range(50)]
        assert all(t.params["env_name"] == "reach-v3" for t in tasks)


def test_splits_are_disjoint(official):
    ours = ML1(env_name="reach-v3")
    train, test = ({params_key(t) for t in tasks} for tasks in (ours.meta_train(), ours.meta_test()))
    assert len(train) == len(test) == 50 and not train & test


def test_the_registry_hands_out_the_test_goals_as_the_train_split_and_we_do_not(official):
    """The trap in metaworld 3.1.1: should this fail with a newer version, the trap is gone."""
    state = np.random.get_state()
    envs = gym.make_vec(
        "Meta-World/ML1-train", env_name="reach-v3", seed=42, meta_batch_size=10, vector_strategy="sync"
    )
    handed_out = [vectors(sub.get_wrapper_attr("tasks")) for sub in envs.envs]
    envs.close()
    np.random.set_state(state)
    handed_out = {tuple(v) for sub in handed_out for v in sub}
    ours = ML1(env_name="reach-v3", goals_seed=42)
    train, test = ({tuple(t.params["rand_vec"]) for t in tasks} for tasks in (ours.meta_train(), ours.meta_test()))
    assert handed_out and handed_out <= test
    assert not handed_out & train


def test_sample_gives_different_meta_train_goals():
    tasks = ML1()
    sampled = tasks.sample(50, rng=np.random.default_rng(0))
    assert {t.id for t in sampled} == {t.id for t in tasks.meta_train()}
    with pytest.raises(UserError, match="meta_batch_size=51 exceeds the 50 meta-train tasks; lower it"):
        tasks.sample(51, rng=np.random.default_rng(0))


def test_another_seed_gives_other_goals():
    first, other = ML1(), ML1(goals_seed=1)
    assert {params_key(t) for t in first.meta_train()} != {params_key(t) for t in other.meta_train()}


@pytest.mark.parametrize("stepping", ["fast", "metaworld"])
def test_the_goal_is_hidden_at_every_step(stepping):
    env = ML1(stepping=stepping).make_env(1)
    rng = np.random.default_rng(0)
    for task in ML1().sample(2, rng=rng):
        obs = env.reset(LANE, [task], [(0,)])
        for _ in range(10):
            assert (obs[:, 36:39] == 0).all() and (obs[:, :3] != 0).all()
            obs = env.step(LANE, rng.uniform(-1, 1, (1, 4)).astype(np.float32)).obs


@pytest.mark.parametrize("stepping", ["fast", "metaworld"])
def test_a_misplaced_object_is_seen_off_its_place_and_nothing_else_changes(stepping):
    """The physics, the reward and every other input are the same; held-out tasks are not touched."""
    jittered, plain = (ML1(env_name="push-v3", stepping=stepping, object_jitter=std) for std in (0.05, 0.0))
    (task,) = jittered.sample(1, rng=np.random.default_rng(0))
    dx, dy = task.params["object_offset"]
    assert dx != dy and 1e-3 < max(abs(dx), abs(dy)) < 0.25
    assert not any("object_offset" in held_out.params for held_out in jittered.meta_test())
    seen, truth = (tasks.make_env(1) for tasks in (jittered, plain))
    expected = np.zeros(39)
    expected[[4, 5, 22, 23]] = dx, dy, dx, dy
    difference = seen.reset(LANE, [task], [(0,)]) - truth.reset(LANE, [task], [(0,)])
    np.testing.assert_allclose(difference[0], expected, atol=1e-12)
    rng = np.random.default_rng(1)
    for _ in range(100):
        action = rng.uniform(-1, 1, (1, 4)).astype(np.float32)
        here, there = seen.step(LANE, action), truth.step(LANE, action)
        np.testing.assert_allclose((here.obs - there.obs)[0], expected, atol=1e-12)
        np.testing.assert_array_equal(here.rewards, there.rewards)
    held_out = jittered.meta_test()[0]
    np.testing.assert_array_equal(
        seen.reset(LANE, [held_out], [(0,)])[0, 4:7], truth.reset(LANE, [held_out], [(0,)])[0, 4:7]
    )


def test_offsets_have_the_asked_spread_and_follow_from_the_rng():
    tasks = ML1(object_jitter=0.05)
    first, again = (tasks.sample(50, rng=np.random.default_rng(0)) for _ in range(2))
    assert first == again
    offsets = np.array([task.params["object_offset"] for task in first])
    assert offsets.std() == pytest.approx(0.05, rel=0.25) and len(np.unique(offsets)) == 100
    with pytest.raises(ValueError, match="object_jitter"):
        ML1(object_jitter=-0.1)


def test_global_numpy_state_is_untouched(monkeypatch, tmp_path):
    """By construction with and without the cache, and by sampling, resetting and stepping."""
    monkeypatch.setenv("METARL_CACHE", str(tmp_path))
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    for _ in range(2):
        tasks = ML1()
        tasks.meta_test()
        for stepping in ("fast", "metaworld"):
            env = ML1(stepping=stepping).make_env(1)
            env.reset(LANE, tasks.sample(1, rng=np.random.default_rng(0)), [(0,)])
            env.step(LANE, np.zeros((1, 4), np.float32))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_global_numpy_state_is_put_back_after_a_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("METARL_CACHE", str(tmp_path))

    def fail(env_name, seed):
        np.random.seed(0)
        raise RuntimeError("no model")

    monkeypatch.setattr(metaworld, "ML1", fail)
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    with pytest.raises(RuntimeError, match="no model"):
        ml1_goals("reach-v3", seed=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert not list(tmp_path.iterdir())


# The cache. Building takes seconds, so a stand-in for the benchmark serves where its goals do not matter.


class StandIn:
    """A benchmark of two tasks; counts how often it is built."""

    built = 0

    def __init__(self, env_name, seed):
        StandIn.built += 1

        def tasks(first):
            datas = [{"rand_vec": np.array([first + i, 0.1, 0.2])} for i in range(2)]
            return [metaworld.types.Task(env_name=env_name, data=pickle.dumps(d)) for d in datas]

        self.train_tasks, self.test_tasks = tasks(0.0), tasks(10.0)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("METARL_CACHE", str(tmp_path / "new" / "cache"))
    monkeypatch.setattr(metaworld, "ML1", StandIn)
    StandIn.built = 0
    return tmp_path / "new" / "cache"


def test_the_second_construction_reads_the_file(cache):
    first = ml1_goals("reach-v3", seed=42)
    assert StandIn.built == 1
    (file,) = cache.iterdir()
    assert json.loads(file.read_text())["versions"]["metaworld"] == "3.1.1"
    assert ml1_goals("reach-v3", seed=42) == first and StandIn.built == 1
    assert first.train[1].params == {"env_name": "reach-v3", "rand_vec": [1.0, 0.1, 0.2]}
    ml1_goals("reach-v3", seed=43)  # another seed or task, another file
    ml1_goals("push-v3", seed=42)
    assert StandIn.built == 3 and len(list(cache.iterdir())) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"rand_vec"', '"vector"'),
        lambda text: text.replace('"test"', '"rest"'),
        lambda text: text.replace("3.1.1", "3.0.0"),
        lambda text: text.replace("[10.0,", "[11.0,"),
        lambda text: text.replace("[1.0, 0.1, 0.2]", '"junk"'),
        lambda text: text.replace("[1.0, 0.1, 0.2]", "[1.0, NaN, 0.2]"),
    ],
)
def test_a_damaged_file_is_built_anew(cache, damage):
    first = ml1_goals("reach-v3", seed=42)
    (file,) = cache.iterdir()
    file.write_text(damage(file.read_text()))
    assert ml1_goals("reach-v3", seed=42) == first and StandIn.built == 2
    assert ml1_goals("reach-v3", seed=42) == first and StandIn.built == 2
    assert list(cache.iterdir()) == [file]


def test_a_file_that_is_not_text_is_built_anew(cache):
    first = ml1_goals("reach-v3", seed=42)
    (file,) = cache.iterdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert ml1_goals("reach-v3", seed=42) == first and StandIn.built == 2


def test_a_cache_that_cannot_be_written_is_only_slower(cache, monkeypatch):
    cache.parent.mkdir()
    cache.write_text("a file where the directory should be")
    assert len(ml1_goals("reach-v3", seed=42).train) == 2
    cache.unlink()

    def no_space(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    ml1_goals("reach-v3", seed=42)
    assert StandIn.built == 2 and not list(cache.iterdir())


def test_the_cache_directory_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("METARL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert goals.cache_directory() == tmp_path / "metarl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert goals.cache_directory() == tmp_path / ".cache" / "metarl"


@pytest.mark.parametrize(
    "name, meant", [("reach-V3", "reach-v3"), ("reach", "reach-v3"), ("dor-open-v3", "door-open-v3")]
)
def test_an_unknown_name_is_told_with_its_nearest(name, meant):
    with pytest.raises(
        UserError, match=f"env_name='{name}' is not one of Meta-World's 50 tasks.*did you mean '{meant}'"
    ):
        ML1(env_name=name)


def test_the_names_are_metaworlds():
    assert sorted(TASK_NAMES) == sorted(metaworld.env_dict.ALL_V3_ENVIRONMENTS) and len(TASK_NAMES) == 50


def test_pickling_leaves_the_goal_lists_behind():
    tasks = ML1()
    assert tasks.meta_test()  # the lists are there
    data = pickle.dumps(tasks)
    assert len(data) < 500
    copy = pickle.loads(data)
    assert copy == tasks and copy.meta_test() == tasks.meta_test()


def test_episodes_end_by_truncation_after_500_steps():
    for stepping in ("fast", "metaworld"):
        tasks = ML1(stepping=stepping)
        env = tasks.make_env(1)
        env.reset(LANE, tasks.meta_test()[:1], [(0,)])
        action = np.zeros((1, 4), np.float32)
        steps = [env.step(LANE, action) for _ in range(500)]
        assert [bool(s.truncated[0]) for s in steps] == [False] * 499 + [True]
        assert not any(s.terminated[0] for s in steps)


def test_fast_stepping_equals_metaworlds():
    """Through make_env, over 60 random steps of several goals, in lanes that are used again."""
    tasks = ML1()
    envs = [ML1(stepping=stepping).make_env(2) for stepping in ("fast", "metaworld")]
    rng = np.random.default_rng(0)
    for pair in (tasks.meta_train()[:2], tasks.meta_test()[:2]):
        resets = [env.reset(np.arange(2), pair, [(0,), (1,)]) for env in envs]
        np.testing.assert_allclose(*resets, atol=1e-9, rtol=0)
        for _ in range(60):
            action = rng.uniform(-1.2, 1.2, (2, 4)).astype(np.float32)
            fast, reference = (env.step(np.arange(2), action) for env in envs)
            for a, b in zip(fast, reference, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-9, rtol=0)


def test_another_mujoco_is_warned_of(monkeypatch):
    monkeypatch.setattr(goals, "version", lambda name: "3.9.0")
    with pytest.warns(UserWarning, match=r"mujoco 3\.9\.0 is installed.*3\.3\.0"):
        goals.warn_of_other_mujoco()
