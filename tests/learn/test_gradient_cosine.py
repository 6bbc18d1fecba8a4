"""The mean cosine between tasks' gradients: by hand, and what the agents that use PPO report."""

import math

import pytest
import torch

from metarl.agents.multi_task_ppo import PPOConfig, multi_task_ppo
from metarl.agents.rl2 import RL2, RL2Config
from metarl.envs.navigation import Navigation
from metarl.learn import params as P
from metarl.learn.gradient_cosine import COMPARED, gradient_cosine
from metarl.rl.recurrent.trial_ppo import TrialPPO
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import torch_rng

TASKS = Navigation()


def linear(gradients):
    return lambda theta, i: theta["w"] @ torch.tensor(gradients[i])


@pytest.mark.parametrize(
    "gradients, expected",
    [
        ([[2.0, 0.0], [1.0, 1.0]], 1 / math.sqrt(2)),
        ([[1.0, 0.0], [-3.0, 0.0]], -1),
        ([[1.0, 0.0], [0.0, 1.0], [0.0, -2.0]], (0 + 0 - 1) / 3),
        ([[1.0, 0.0], [0.0, 0.0]], 0),  # a task without a gradient agrees with none
        ([[1.0, 0.0]], 0),
        ([[1.0, 0.0]] * COMPARED + [[-1.0, 0.0]] * 3, 1),  # the first ones alone are compared
    ],
)
def test_by_hand(gradients, expected):
    theta = {"w": torch.zeros(2), "unused": torch.zeros(3)}
    assert gradient_cosine(linear(gradients), theta, len(gradients)) == pytest.approx(expected, abs=1e-6)


def meta_batch(learner, goals):
    tasks = [TASKS.task({"goal": goal}) for goal in goals]
    with RolloutPool(TASKS, PoolConfig(workers=0)) as pool:
        return collect_meta_batch(pool, learner.behaviour(), tasks, support_episodes=1, query_episodes=30, seed=(0,))


def test_ppo_reports_that_of_the_tasks_losses():
    learner = multi_task_ppo(TASKS.spec, PPOConfig(hidden=(8,), init_std=0.5), generator=torch_rng((0,)))
    batch = meta_batch(learner, [[0.4, 0.0], [0.4, 0.1], [-0.4, 0.0]])
    data, _ = learner.problem.prepare([task.query for task in batch], learner.device)
    gradients = []
    for i in range(3):
        leaves = P.trainable(learner.theta)
        gradients.append(P.flatten(P.gradient(learner.problem.losses(leaves, data)[i], leaves)))
    pairs = [torch.cosine_similarity(gradients[i], gradients[j], dim=0) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert learner.meta_update(batch)["gradient_cosine"] == pytest.approx(float(sum(pairs)) / 3, abs=1e-5)
    assert pairs[0] > 0 > pairs[1]  # goals side by side, and on opposite sides


def test_rl2_reports_that_of_its_trials():
    learner = RL2(TASKS.spec, RL2Config(hidden_dim=8, chunk_steps=25, init_std=0.5), generator=torch_rng((0,)))
    metrics = learner.meta_update(meta_batch(learner, [[0.4, 0.0], [-0.4, 0.0], [0.0, 0.4]]))
    assert -1 <= metrics["gradient_cosine"] <= 1


def test_trials_that_are_the_same_agree():
    learner = RL2(TASKS.spec, RL2Config(hidden_dim=8, chunk_steps=25, init_std=0.5), generator=torch_rng((0,)))
    (data,) = meta_batch(learner, [[0.4, 0.0]])
    chunks = captured_chunks(learner, [data, data])
    ppo = TrialPPO(policy=learner.policy, clip=0.2, entropy_coef=0.0, value_coef=0.5, max_kl=None)
    assert ppo.task_cosine(chunks, learner.theta) == pytest.approx(1, abs=1e-5)


def captured_chunks(learner, batch):
    kept = []
    learner._optimize = lambda chunks, theta: (kept.append(chunks), (theta, {}))[1]
    learner.meta_update(batch)
    return kept[0]
