"""The baselines: PPO's loss by hand, one gradient for all tasks, and each task's own where it fine-tunes."""

import dataclasses

import pytest
import torch

from metarl.agents.fine_tune import FineTuneConfig, fine_tune
from metarl.agents.from_scratch import FromScratchConfig, from_scratch
from metarl.agents.multi_task_ppo import PPOConfig, multi_task_ppo, of_finite_tasks, ppo_loss
from metarl.envs.navigation import Navigation
from metarl.learn import params as P
from metarl.rl.policies import GaussianMLP
from metarl.rollout.collect import collect_episodes, collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng, torch_rng
from metarl.types import Task

POLICY = GaussianMLP(3, 2, (4,))


def batch(num_tasks=2, steps=5):
    g = torch.Generator().manual_seed(0)
    theta = POLICY.init(g)
    obs = torch.randn(num_tasks, steps, 3, generator=g)
    actions = torch.randn(num_tasks, steps, 2, generator=g)
    old = POLICY.dist(theta, obs).log_prob(actions) + 0.5 * torch.randn(num_tasks, steps, generator=g)
    mask = torch.ones(num_tasks, steps, dtype=torch.bool)
    mask[1, 3:] = False
    advantages = torch.randn(num_tasks, steps, generator=g)
    return theta, {"obs": obs, "actions": actions, "log_probs": old * mask, "advantages": advantages, "mask": mask}


def test_loss_by_hand():
    """Each valid step's min(r A, clip(r) A), in a loop over steps; the entropy bonus is that of the Gaussian."""
    theta, data = batch()
    losses = ppo_loss(POLICY, theta, data, clip=0.2, entropy_coef=0.1)
    for b, length in enumerate((5, 3)):
        total = 0.0
        for t in range(length):
            dist = POLICY.dist(theta, data["obs"][b, t : t + 1])
            ratio = float((dist.log_prob(data["actions"][b, t : t + 1]) - data["log_probs"][b, t]).exp())
            a = float(data["advantages"][b, t])
            total += min(ratio * a, min(max(ratio, 0.8), 1.2) * a) + 0.1 * float(dist.entropy())
        assert float(losses[b]) == pytest.approx(-total / length, rel=1e-5)


def test_stacked_parameters_get_each_tasks_own_gradient():
    theta, data = batch()
    stacked = P.trainable({name: p.clone() for name, p in P.repeat(theta, 2).items()})
    together = torch.autograd.grad(
        ppo_loss(POLICY, stacked, data, clip=0.2, entropy_coef=0.1).sum(), [*stacked.values()]
    )
    for b in range(2):
        alone = P.trainable(theta)
        loss = ppo_loss(POLICY, alone, {n: x[b : b + 1] for n, x in data.items()}, clip=0.2, entropy_coef=0.1).sum()
        for both, own in zip(together, torch.autograd.grad(loss, [*alone.values()]), strict=True):
            torch.testing.assert_close(both[b], own)


TASKS = Navigation()
ONE = [Task("corner", {"goal": [0.4, 0.4]})]


@pytest.fixture(scope="module")
def pool():
    with RolloutPool(TASKS, PoolConfig(workers=0, lanes_per_group=100)) as pool:
        yield pool


def mean_return(pool, learner, phi):
    (episodes,) = collect_episodes(pool, learner.behaviour(), ONE, [phi], num_episodes=20, seed=(99,))
    return float(episodes.returns_undiscounted().mean())


@pytest.mark.thorough
def test_multi_task_ppo_learns_a_single_goal(pool):
    """With one task it is plain PPO: from -55 or so to near a straight walk's -1.4 (distances 0.47, 0.37, ...)."""
    config = PPOConfig(hidden=(32,), init_std=0.3, lr=3e-3)
    learner = multi_task_ppo(TASKS.spec, config, generator=torch_rng((0,)))
    untrained = mean_return(pool, learner, learner.behaviour().prior())
    for iteration in range(15):
        learner.meta_update(
            collect_meta_batch(pool, learner.behaviour(), ONE, support_episodes=1, query_episodes=20, seed=(iteration,))
        )
    trained = mean_return(pool, learner, learner.behaviour().prior())
    assert untrained < -30 and trained > -5


def test_fine_tuning_helps_on_its_own_task_and_from_scratch_never_trains(pool):
    tasks = TASKS.sample(4, rng=numpy_rng((0,)))
    settings = {"hidden": (32,), "init_std": 0.3, "adaptation_lr": 1e-2, "adaptation_epochs": 10}
    scratch = from_scratch(TASKS.spec, FromScratchConfig(**settings), generator=torch_rng((0,)))
    theta = {name: p.clone() for name, p in scratch.theta.items()}
    data = collect_meta_batch(pool, scratch.behaviour(), tasks, support_episodes=1, query_episodes=4, seed=(1,))
    assert scratch.meta_update(data)["meta_step_accepted"] == 0
    assert all(torch.equal(theta[name], p) for name, p in scratch.theta.items())
    tuned = fine_tune(TASKS.spec, FineTuneConfig(**settings), generator=torch_rng((0,)))
    for learner in (scratch, tuned):
        support = collect_episodes(
            pool, learner.behaviour(), ONE, [learner.behaviour().prior()], num_episodes=20, seed=(2,)
        )
        (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], support)
        assert mean_return(pool, learner, phi) > mean_return(pool, learner, learner.behaviour().prior()) + 3


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="adaptation_epochs=0"):
        FineTuneConfig(adaptation_epochs=0)
    with pytest.raises(ValueError, match="lr=-1"):
        dataclasses.replace(PPOConfig(), lr=-1.0)


def test_a_task_that_diverges_does_not_stop_the_others_fine_tuning():
    grads = {"w": torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [3.0, 4.0]]), "b": torch.ones(3)}
    kept = of_finite_tasks(grads)
    assert kept["w"].tolist() == [[1, 2], [0, 0], [3, 4]] and kept["b"].tolist() == [1, 0, 1]


def test_fine_tuning_goes_on_beside_a_task_whose_loss_is_not_finite(pool):
    settings = {"hidden": (8,), "init_std": 0.3, "adaptation_epochs": 3}
    agent = fine_tune(TASKS.spec, FineTuneConfig(**settings), generator=torch_rng((0,))).behaviour()
    tasks = TASKS.sample(2, rng=numpy_rng((0,)))
    good, bad = collect_episodes(pool, agent, tasks, [agent.prior()] * 2, num_episodes=4, seed=(2,))
    bad = dataclasses.replace(bad, log_probs=torch.full_like(bad.log_probs, -float("inf")))  # ratios of infinity
    alone, _ = agent.adapt([agent.prior()] * 2, [good, good])
    beside, diverged = agent.adapt([agent.prior()] * 2, [good, bad])
    for name, p in agent.prior().items():
        torch.testing.assert_close(beside[name], alone[name])
        assert torch.equal(diverged[name], p) and not torch.equal(beside[name], p)
