"""The recount agrees with metaworld 3.1.1's own evaluator, bias included; the corrected score is the truth."""

from __future__ import annotations

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.evaluation import evaluation

from metarl.scores.metaworld_compat import first_come_success

HORIZON = 500
EPISODES = 3


class ScriptedVectorEnv:
    """What metaworld's `evaluation` asks of a vector env; env i's e-th episode succeeds after steps[i, e] steps."""

    def __init__(self, steps: np.ndarray, env_name: str) -> None:
        self.steps, self.num_envs = steps, len(steps)
        self.names = [ALL_V3_ENVIRONMENTS[env_name].__name__] * len(steps)
        self.t, self.episode = np.zeros(len(steps), int), np.zeros(len(steps), int)

    def get_attr(self, name: str) -> list:
        return self.names if name == "task_name" else [False] * self.num_envs

    def call(self, *_: object) -> None:
        pass

    def reset(self) -> tuple[np.ndarray, dict]:
        return np.zeros((self.num_envs, 1)), {}

    def step(self, actions: np.ndarray) -> tuple:
        self.t += 1
        now = self.steps[np.arange(self.num_envs), self.episode % self.steps.shape[1]]
        success = (now > 0) & (self.t == now)
        truncated = ~success & (self.t == HORIZON)
        ended = success | truncated
        self.t[ended] = 0
        self.episode[ended] += 1
        final = {"episode": {"r": np.zeros(self.num_envs)}, "success": success}
        return np.zeros((self.num_envs, 1)), np.zeros(self.num_envs), success, truncated, {"final_info": final}


class Stub:
    def reset(self, mask: np.ndarray) -> None:
        pass

    def eval_action(self, obs: np.ndarray) -> np.ndarray:
        return np.zeros((len(obs), 4))


@pytest.mark.parametrize("seed", range(6))
def test_the_recount_equals_metaworlds_evaluator(seed: int) -> None:
    rng = np.random.default_rng(seed)
    solvable = rng.random((10, 1)) < 0.4
    steps = np.where(solvable, rng.integers(1, HORIZON, (10, EPISODES)), 0)
    official, *_ = evaluation(Stub(), ScriptedVectorEnv(steps, "reach-v3"), num_episodes=EPISODES)
    ours = first_come_success(steps, ["reach-v3"] * 10, envs_per_class=10, horizon_steps=HORIZON)
    assert ours == pytest.approx(official)


def test_one_solvable_goal_of_four_is_reported_as_one() -> None:
    """The stub of the facts file: truth 0.25, metaworld says 1.00; a quota a goal says 0.25."""
    steps = np.array([[100] * EPISODES, [0] * EPISODES, [0] * EPISODES, [0] * EPISODES])
    official, *_ = evaluation(Stub(), ScriptedVectorEnv(steps, "reach-v3"), num_episodes=EPISODES)
    assert official == 1.0
    assert first_come_success(steps, ["a"] * 4, envs_per_class=4, horizon_steps=HORIZON) == 1.0
    assert (steps > 0).mean(-1).mean() == 0.25


def test_classes_count_alike_and_batches_are_averaged() -> None:
    steps = np.array([[10, 10], [0, 0], [20, 20], [0, 0], [0, 0], [0, 0]])
    # class a: batches (solvable, not) twice -> 1; class b: never
    score = first_come_success(steps, ["a"] * 4 + ["b"] * 2, envs_per_class=2, horizon_steps=HORIZON)
    assert score == 0.5


def test_a_batch_that_is_not_full_is_left_out() -> None:
    """40 goals by 9: a batch of the 4 left would weigh as much as the full ones."""
    steps = np.array([[10, 10], [0, 0], [0, 0], [0, 0], [0, 0]])
    assert first_come_success(steps, ["a"] * 5, envs_per_class=2, horizon_steps=HORIZON) == 0.5
    assert first_come_success(steps[:1], ["a"], envs_per_class=2, horizon_steps=HORIZON) == 1.0
