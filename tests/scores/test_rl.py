"""The evaluator counts a fixed quota a task, and test episodes only."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from metarl.envs.metaworld.ml import ML
from metarl.errors import NonFiniteError
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.scores.rl import EvaluationConfig, evenly, meta_evaluate
from metarl.types import Task
from tests.rollout.envs import HORIZON, Scripted

SEED = (11, 3)


class RoundsActor:
    """Its actions say the round of its phi, and whether it is deterministic."""

    noise_dim = 0
    uniform_noise = False

    def __init__(self, deterministic):
        self.deterministic = deterministic

    def start(self, phis, lanes_per_job):
        return torch.tensor([float(phi) for phi in phis]).repeat_interleave(lanes_per_job)

    def act(self, memory, inputs, noise):
        actions = torch.stack([memory, torch.full_like(memory, float(self.deterministic))], -1)
        return actions, torch.zeros(len(memory)), memory


MEASURES = ("return", "success_any", "success_last")


class StubLearner:
    """phi is the number of rounds of adaptation; keeps all support that it is given."""

    adaptation_rounds = 2
    keeps_memory = False

    def __init__(self):
        self.theta = torch.ones(3)
        self.supports = []

    def prior(self):
        return 0

    def adapt(self, phis, supports):
        self.supports.append(supports)
        return [phi + 1 for phi in phis]

    def actor(self, *, deterministic=False):
        return RoundsActor(deterministic)


class SpyPool(RolloutPool):
    """Keeps every job it is given."""

    def __init__(self):
        super().__init__(Scripted(), PoolConfig(workers=0))
        self.calls = []

    def submit(self, jobs, actor):
        self.calls.append((list(jobs), actor))
        return super().submit(jobs, actor)


# known success: the easy task succeeds at its second step and ends there, the hard one never does
TASKS = [
    Task("easy", {"success_at": 2, "lengths": [2] * 50}, stratum="a"),
    Task("hard", {}, stratum="b"),
    Task("passing", {"success_at": 3}, stratum="b"),
]


@pytest.fixture
def pool():
    with SpyPool() as pool:
        yield pool


def evaluate(pool, learner=None, **config):
    config = {"adaptation_episodes": 5, "test_episodes": 4, "adaptation_rounds": 2} | config
    return meta_evaluate(pool, learner or StubLearner(), TASKS, EvaluationConfig(**config), seed=SEED)


def test_each_task_has_its_quota_however_early_its_episodes_end(pool):
    result = evaluate(pool)
    scores = result.scores
    assert scores.tasks == ("easy", "hard", "passing") and scores.strata == ("a", "b", "b")
    assert scores.conditions == ("stochastic", "deterministic") and scores.steps == (0, 1, 2)
    assert scores.measures == MEASURES and set(scores.values) == {*MEASURES, "steps_to_success"}
    for values in scores.values.values():
        assert values.shape == (2, 3, 3, 4)  # (modes, rounds + 1, tasks, test episodes)
    assert scores.per_task("success_any").tolist() == [[[1, 0, 1]] * 3] * 2
    assert scores.per_task("success_last").tolist() == [[[1, 0, 0]] * 3] * 2


def test_the_curve_has_a_point_before_adaptation_and_one_after_each_round(pool):
    result = evaluate(pool)
    curve = result.curve("stochastic", "success_any")
    assert len(curve) == 3 and all(point.mean == pytest.approx(2 / 3) for point in curve)
    assert evaluate(pool, adaptation_rounds=0).scores.values["return"].shape == (2, 1, 3, 4)


def test_row_k_is_tested_with_the_phi_of_k_rounds_and_the_actor_of_its_mode(pool):
    """The reward of a scripted task holds the action: round + deterministic, at each of 6 steps."""
    result = evaluate(pool)
    for extra in (0, 1):
        returns = result.scores.values["return"][extra, :, 1]
        hard = returns.mean(-1)
        u = returns - hard[:, None]
        assert np.abs(u).max() < HORIZON
        for k in range(3):
            base = 10 * sum(range(1, HORIZON + 1)) + HORIZON * (k + extra)
            assert 0 <= hard[k] - base <= HORIZON


def test_adaptation_episodes_are_sampled_with_the_current_phi_and_never_counted(pool):
    learner = StubLearner()
    result = evaluate(pool, learner)
    assert [[e.mask.shape[0] for e in supports] for supports in learner.supports] == [[5] * 3] * 2
    for k, supports in enumerate(learner.supports):
        for support in supports:
            assert (support.actions[support.mask] == torch.tensor([float(k), 0.0])).all()
    counted = result.scores.values["return"].size
    assert counted == 2 * 3 * 3 * 4  # modes x rounds x tasks x test episodes


def test_all_environment_steps_are_counted_once(pool):
    evaluate(pool)
    first = pool.stats.env_steps
    result = evaluate(pool)
    per_episode = 2 + HORIZON + HORIZON
    assert result.record["env_steps"] == first == (2 * 3 * 4 + 2 * 5) * per_episode


def test_no_two_jobs_share_a_seed(pool):
    evaluate(pool)
    seeds = [job.seed for jobs, _ in pool.calls for job in jobs]
    assert len(seeds) == len(set(seeds)) == (2 * 3 + 2) * 3
    lengths = {len(seed) for seed in seeds}
    assert len(lengths) == 1  # none is the beginning of another, to which episodes add their number


def test_evaluation_repeats_itself_and_leaves_theta_alone(pool):
    learner = StubLearner()
    first, second = evaluate(pool, learner), evaluate(pool, learner)
    for measure in MEASURES:
        np.testing.assert_array_equal(first.scores.values[measure], second.scores.values[measure])
    assert torch.equal(learner.theta, torch.ones(3))


def test_a_dropped_episode_leaves_its_tasks_mean_to_the_others():
    """It would otherwise be a return of 0, here the worst and where rewards are costs the best there is."""
    config = EvaluationConfig(adaptation_episodes=1, test_episodes=4, adaptation_rounds=0)
    results = []
    for bad in ({}, {"nan_reward_at": 2, "bad_episodes": [1, 3]}):
        tasks = [Task("whole", {}), Task("holed", {"success_at": 3, **bad})]
        with RolloutPool(Scripted(), PoolConfig(workers=0, non_finite="drop_episode")) as pool:
            results.append(meta_evaluate(pool, StubLearner(), tasks, config, seed=SEED))
    whole, holed = results
    assert whole.record["dropped_episodes"] == 0 and holed.record["dropped_episodes"] == 4  # of two modes
    assert holed.notes == ("4 test episodes had a NaN and are left out",) and whole.notes == ()
    for mode in (0, 1):
        for measure in MEASURES:
            expected, values = whole.scores.values[measure][mode, 0], holed.scores.values[measure][mode, 0]
            np.testing.assert_array_equal(values[0], expected[0])
            np.testing.assert_array_equal(values[1, [0, 2]], expected[1, [0, 2]])
            assert values[1].mean() == pytest.approx(expected[1, [0, 2]].mean())
    assert holed.to_json()["dropped_episodes"] == 4


def test_a_task_without_any_whole_episode_is_named():
    config = EvaluationConfig(adaptation_episodes=1, test_episodes=2, adaptation_rounds=0)
    with RolloutPool(Scripted(), PoolConfig(workers=0, non_finite="drop_episode")) as pool:
        with pytest.raises(NonFiniteError, match="all test episodes of task 'broken'"):
            meta_evaluate(pool, StubLearner(), [Task("broken", {"nan_reward_at": 2})], config, seed=SEED)


def test_metrics_and_json_say_the_same(pool):
    result = evaluate(pool, deterministic_too=False)
    metrics, stored = result.metrics(), json.loads(json.dumps(result.to_json()))
    assert set(metrics) == {f"eval/stochastic/{m}/{k}" for m in MEASURES for k in range(3)}
    suite = stored["suites"][""]
    for measure in MEASURES:
        np.testing.assert_allclose(suite["values"][measure], result.scores.values[measure], atol=1e-6)
        for k, point in enumerate(suite["summary"][measure]["stochastic"]):
            assert metrics[f"eval/stochastic/{measure}/{k}"] == pytest.approx(point["mean"])
            assert point["low"] <= point["mean"] <= point["high"]
    assert stored["env_steps"] == result.record["env_steps"]


@pytest.mark.parametrize("field, value", [("adaptation_episodes", 0), ("test_episodes", 0), ("adaptation_rounds", -1)])
def test_bad_config_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value} must be >="):
        EvaluationConfig(**{field: value})


def test_a_meta_batch_holds_a_support_for_each_round_and_a_query_of_the_adapted_phi(pool):
    learner = StubLearner()
    batch = collect_meta_batch(pool, learner, TASKS, support_episodes=2, query_episodes=3, seed=SEED)
    assert [data.task for data in batch] == TASKS
    for i, data in enumerate(batch):
        assert len(data.supports) == 2 and data.query.mask.shape[0] == 3
        for k, episodes in enumerate((*data.supports, data.query)):
            assert (episodes.actions[episodes.mask][:, 0] == k).all()
        for k in range(2):
            assert data.supports[k] is learner.supports[k][i]
    seeds = [job.seed for jobs, _ in pool.calls for job in jobs]
    assert len(set(seeds)) == len(seeds) == 9


def test_classes_trained_on_are_left_out_on_demand(pool):
    result = evaluate(pool, also_without=("a",))
    rest = result.suites["without a"]
    assert rest.tasks == ("hard", "passing") and rest.strata == ("b", "b")
    assert rest.of("stochastic", "success_any").tolist() == [[0, 1]] * 3
    assert result.scores.values["success_any"].shape == (2, 3, 3, 4)  # itself untouched
    assert list(evaluate(pool, also_without=("a", "b")).suites) == [""]  # no class is left


def test_episodes_are_counted_first_come_in_metaworlds_own_number_alone(pool):
    counted = evaluate(pool, first_come_envs=1, test_episodes=3)
    assert counted.record["success_first_come"].keys() == {"stochastic", "deterministic"}
    assert counted.metrics()["eval/stochastic/success_first_come/2"] == pytest.approx(0.75)  # the mean over classes
    assert counted.notes[0].endswith("favours easy goals (biased upwards): sampled 75%, mean 75%")
    assert evaluate(pool, first_come_envs=1, test_episodes=4).record["success_first_come"] == {}


def test_a_few_tasks_are_taken_evenly_from_the_strata():
    """Five classes of three goals: seven tasks are two of the first two classes, and one of the others."""
    tasks = [Task(f"{name}{i}", {}, stratum=name) for name in "abcde" for i in range(3)]
    assert [task.id for task in evenly(tasks, 5)] == ["a0", "b0", "c0", "d0", "e0"]
    assert [task.id for task in evenly(tasks, 7)] == ["a0", "a1", "b0", "b1", "c0", "d0", "e0"]
    assert evenly(tasks, None) == evenly(tasks, 99) == tasks
    assert [task.id for task in evenly([Task(str(i), {}) for i in range(4)], 2)] == ["0", "1"]


def test_a_quick_look_at_ml10_sees_all_five_classes():
    result = evenly(ML(benchmark="ML10").meta_test(), 20)
    assert Counter(task.stratum for task in result) == Counter(dict.fromkeys({t.stratum for t in result}, 4))
    assert len({task.stratum for task in result}) == 5
