"""ML10 to ML45, custom sets and MT: classes, splits, what is hidden and what is shown."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from metaworld.env_dict import ML10_V3, ML25_V3

from metarl.envs.metaworld.continual import ContinualWorld
from metarl.envs.metaworld.ml import ML
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.mt import MT
from metarl.errors import UserError
from metarl.rollout.actor import UniformActor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.types import EnvSpec

LANE = np.array([0])


def classes(tasks: list) -> list[str]:
    return list(dict.fromkeys(task.params["env_name"] for task in tasks))


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "num_train", "num_test"), [("ML10", 10, 5), ("ML25", 25, 5), ("ML45", 45, 5)])
def test_benchmark_has_its_classes_and_50_goals_each(benchmark: str, num_train: int, num_test: int) -> None:
    ml = ML(benchmark=benchmark, goals_per_test_class=50)  # type: ignore[arg-type]
    assert (len(ml.meta_train()), len(ml.meta_test())) == (50 * num_train, 50 * num_test)
    assert len(classes(ml.meta_train())) == num_train and len(classes(ml.meta_test())) == num_test


@pytest.mark.slow
def test_ml25s_basketball_stands_on_both_sides_and_is_named() -> None:
    assert ML(benchmark="ML10").overlapping_classes() == []
    assert ML(benchmark="ML25").overlapping_classes() == ["basketball-v3"]
    assert "basketball-v3" in ML25_V3["train"] and "basketball-v3" in ML25_V3["test"]


@pytest.mark.slow
def test_ml10_equals_metaworlds_lists() -> None:
    import metaworld

    official = metaworld.ML10(seed=42)
    ours = ML(benchmark="ML10", goals_per_test_class=50)
    for split, theirs in ((ours.meta_train(), official.train_tasks), (ours.meta_test(), official.test_tasks)):
        assert [t.params["env_name"] for t in split] == [t.env_name for t in theirs]
        assert [t.params["rand_vec"] for t in split] == [pickle.loads(t.data)["rand_vec"].tolist() for t in theirs]
    assert classes(ours.meta_train()) == list(ML10_V3["train"])


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["MT10", "MT50"])
def test_mt_equals_metaworlds_lists(benchmark: Any) -> None:
    """Of all 50 tasks: ours are drawn without letting the arm settle before each."""
    import metaworld

    official = getattr(metaworld, benchmark)(seed=42).train_tasks
    ours = MT(benchmark=benchmark).meta_train()
    assert [t.params["env_name"] for t in ours] == [t.env_name for t in official]
    assert [t.params["rand_vec"] for t in ours] == [pickle.loads(t.data)["rand_vec"].tolist() for t in official]
    assert classes(ours) == list(MT(benchmark=benchmark).class_names)


def custom(**more: object) -> ML:
    names = {"train_names": ("reach-v3", "push-v3"), "test_names": ("door-close-v3",)}
    return ML(benchmark="custom", **{**names, **more})  # type: ignore[arg-type]


def test_a_meta_batch_takes_every_class_alike() -> None:
    tasks = custom().sample(7, rng=np.random.default_rng(0))
    names = [task.params["env_name"] for task in tasks]
    assert sorted(names.count(name) for name in ("reach-v3", "push-v3")) == [3, 4]
    assert len({task.id for task in tasks}) == 7


def test_a_class_on_both_sides_keeps_its_goals_apart() -> None:
    ml = custom(test_names=("reach-v3",))
    train = {str(t.params["rand_vec"]) for t in ml.meta_train() if t.params["env_name"] == "reach-v3"}
    assert ml.overlapping_classes() == ["reach-v3"]
    assert not train & {str(t.params["rand_vec"]) for t in ml.meta_test()}


def test_the_number_of_test_goals_is_a_setting() -> None:
    assert len(custom().meta_test()) == 40
    assert len(custom(goals_per_test_class=3).meta_test()) == 3


def test_a_lane_changes_class_and_the_goal_stays_hidden() -> None:
    ml = custom()
    env = ml.make_env(1)
    for task in (ml.meta_train()[0], ml.meta_test()[0], ml.meta_train()[0]):
        obs = [env.reset(LANE, [task], [(0,)]).copy()]
        obs += [env.step(LANE, np.zeros((1, 4), np.float32)).obs.copy() for _ in range(3)]
        assert not np.concatenate(obs)[:, 36:39].any()
    first, again = (env.reset(LANE, [ml.meta_train()[0]], [(0,)]).copy() for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"benchmark": "custom"}, "name both for 'custom'"),
        ({"benchmark": "ML10", "train_names": ("reach-v3",), "test_names": ("push-v3",)}, "neither for the others"),
        ({"benchmark": "custom", "train_names": ("reech-v3",), "test_names": ("push-v3",)}, "'reach-v3'"),
    ],
)
def test_bad_sets_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ML(**settings)


@pytest.mark.parametrize("stepping", ["fast", "metaworld"])
def test_mt1_shows_the_goal_and_a_one_hot_id(stepping: str) -> None:
    mt = pickle.loads(pickle.dumps(MT(benchmark="MT1", env_name="reach-v3", stepping=stepping)))  # type: ignore[arg-type]
    assert mt.spec == EnvSpec(obs_dim=40, action_dim=4, horizon_steps=500, measures_success=True)
    task = MT(benchmark="MT1").meta_train()[3]
    env = mt.make_env(1)
    env.reset(LANE, [task], [(0,)])
    obs = env.step(LANE, np.zeros((1, 4), np.float32)).obs[0]
    np.testing.assert_allclose(obs[36:39], task.params["rand_vec"][3:])
    assert obs[39] == 1.0


def test_mt1_has_metaworlds_goals() -> None:
    import metaworld

    official = metaworld.MT1("reach-v3", seed=42).train_tasks
    ours = [task.params["rand_vec"] for task in MT(benchmark="MT1").meta_train()]
    assert ours == [pickle.loads(task.data)["rand_vec"].tolist() for task in official]
    assert ours == [task.params["rand_vec"] for task in ML1().meta_train()]


# ---- Continual World

PAIR = ContinualWorld(sequence="custom", env_names=("reach-v3", "push-v3", "reach-v3"), horizon_steps=3)


def test_cw10_and_cw20_have_the_papers_order_and_an_id_for_each_place() -> None:
    ten = ContinualWorld()
    assert [name.removesuffix("-v3") for name in ten.class_names] == [
        *("hammer", "push-wall", "faucet-close", "push-back", "stick-pull"),
        *("handle-press-side", "push", "shelf-place", "window-close", "peg-unplug-side"),
    ]
    twenty = ContinualWorld(sequence="CW20")
    assert twenty.class_names == (*ten.class_names, *(f"{name}/2" for name in ten.class_names))
    assert (ten.spec.obs_dim, twenty.spec.obs_dim, ten.spec.horizon_steps) == (49, 59, 500)


def test_a_place_has_the_goals_of_its_task_and_its_own_id() -> None:
    tasks = PAIR.meta_test()
    assert tasks == PAIR.meta_train() and len({task.id for task in tasks}) == len(tasks) == 150
    drawn = [PAIR.sample_at(place, 4, rng=np.random.default_rng(0)) for place in range(3)]
    assert [{task.stratum for task in of_place} for of_place in drawn] == [{"reach-v3"}, {"push-v3"}, {"reach-v3/2"}]
    goals = {tuple(task.params["rand_vec"]) for task in MT(benchmark="MT1").meta_train()}
    assert {tuple(task.params["rand_vec"]) for task in drawn[2]} <= goals
    for task in tasks[::30]:
        assert PAIR.task(task.params) == task
    with pytest.raises(UserError, match="place=3 is none of custom; give 0 to 2"):
        PAIR.task({**tasks[0].params, "place": 3})


def test_fixed_goals_are_one_of_each_class_for_training_and_test():
    fixed, random = MT(goals="fixed", horizon_steps=200), MT()
    assert [task.stratum for task in fixed.meta_train()] == list(random.class_names)
    assert all(task in random.meta_train() for task in fixed.meta_train())
    assert fixed.meta_test() == fixed.meta_train()
    assert fixed.name == "mt10-fixed-goals"  # a table says which of the two benchmarks it is of
    assert fixed.spec.horizon_steps == 200
    with pytest.raises(UserError, match="exceeds the 10 meta-train tasks"):
        fixed.sample(11, rng=np.random.default_rng(0))
    with pytest.raises(UserError, match="501"):
        MT(horizon_steps=501)


def test_episodes_of_a_sequence_are_mts_with_another_id_and_end_at_its_horizon() -> None:
    sequence, mt = pickle.loads(pickle.dumps(PAIR)), MT(benchmark="MT1")
    task = PAIR.sample_at(2, 1, rng=np.random.default_rng(1))[0]
    twin = next(t for t in mt.meta_train() if t.params["rand_vec"] == task.params["rand_vec"])
    envs = sequence.make_env(1), mt.make_env(1)
    ours, theirs = (env.reset(LANE, [t], [(0,)])[0] for env, t in zip(envs, (task, twin), strict=True))
    np.testing.assert_array_equal(ours[:39], theirs[:39])
    assert ours[39:].tolist() == PAIR.shown(task) == [0.0, 0.0, 1.0]
    with RolloutPool(PAIR, PoolConfig(workers=0)) as pool:
        job = RolloutJob(task=task, phi={}, num_episodes=2, seed=(0,))
        (episodes,) = pool.collect([job], UniformActor(action_dim=4, discrete=False))
    assert episodes.mask.shape == (2, 3) and episodes.truncated[:, 2].all() and not episodes.terminated.any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sequence": "custom"}, "name tasks for 'custom', and none for the others"),
        ({"env_names": ("reach-v3",)}, "name tasks for 'custom', and none for the others"),
        ({"sequence": "custom", "env_names": ("reech-v3",)}, "'reach-v3'"),
        ({"sequence": "CW11"}, "sequence='CW11' must be 'CW10'"),
        ({"horizon_steps": 501}, "horizon_steps=501 must be >= 1 and <= 500"),
    ],
)
def test_bad_sequences_are_refused(settings: dict, said: str) -> None:
    with pytest.raises((UserError, ValueError), match=said):
        ContinualWorld(**settings)
