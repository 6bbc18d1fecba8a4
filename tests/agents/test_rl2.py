"""RL²'s update: PPO on whole trials against its definition, its state, its bad input, and that it learns bandits."""

import dataclasses

import numpy as np
import pytest
import torch

from metarl.agents.rl2 import RL2, RL2Config
from metarl.envs.bandits import Bandits, reference_returns
from metarl.errors import UserError
from metarl.rl.recurrent.memory import MEMORY_KINDS
from metarl.rl.recurrent.memory_behaviour import trial_inputs
from metarl.rl.recurrent.trials import join_episodes
from metarl.rollout.collect import collect_episodes, collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.seeding import torch_rng
from metarl.types import stack_episodes
from tests.agents.rl2_trials import ENDS, collect, make, perturbed
from tests.rollout.envs import Scripted


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"baseline": "linear", "episode_ends": "cut"},
        {"memory": "lstm"},
        {"memory": "attention"},
        {"normalize_inputs": True, "input_changes": True},
    ],
)
@pytest.mark.parametrize("tasks", [Scripted(), Scripted(discrete=True)])
def test_a_saved_state_goes_on_alike(config, tasks, tmp_path):
    learner, again = make(tasks, **config), make(tasks, seed=1, **config)
    first, second = (collect(learner, tasks, ENDS, seed=(s,)) for s in (1, 2))
    learner.meta_update(first)
    again.load_state_dict(load_checkpoint(save_checkpoint(tmp_path, 1, learner.state_dict())))
    metrics = learner.meta_update(second)
    assert again.meta_update(second) == metrics
    assert metrics["meta_step_accepted"] == 1 and metrics["minibatch_steps"] == 4
    assert all(np.isfinite(value) for value in metrics.values())
    for name, p in learner.theta.items():
        assert torch.equal(p, again.theta[name])
        assert not p.requires_grad


def test_one_step_by_definition():
    """A single epoch of one minibatch whose chunks are whole trials: the gradient of the clipped surrogate by steps."""
    tasks = Scripted()
    learner = make(tasks, epochs=1, minibatches=1, chunk_steps=100, baseline="linear", max_grad_norm=None)
    batch = collect(learner, tasks, ENDS)
    episodes = stack_episodes([data.query for data in batch])
    trials = join_episodes(episodes)
    chunks, _, _ = learner.data.prepare(learner.theta, episodes, trials, learner.return_units)
    theta = {name: p.clone().requires_grad_() for name, p in learner.theta.items()}
    total, count = torch.zeros(()), int(trials.mask.sum())
    for b in range(3):
        state, previous = torch.zeros(1, 8), torch.zeros(1, 4)
        for t in range(int(trials.lengths[b])):
            dist, state = learner.policy.step(theta, trials.obs[b : b + 1, t], previous, state)
            ratio = (dist.log_prob(trials.actions[b : b + 1, t]) - trials.log_probs[b, t]).exp()
            total = total - (ratio * chunks.advantages[t, b, 0]).sum() / count
            previous = learner.policy.encode_transitions(
                *(x[b : b + 1, t] for x in (trials.actions, trials.rewards, trials.ended))
            )
    grads = torch.autograd.grad(total, list(theta.values()))
    captured = {}
    learner.meta_optimizer.apply = lambda g, theta, loss: (
        captured.update(g, loss=loss) or {n: p.detach() for n, p in theta.items()},
        {"meta_step_accepted": 1.0},
    )
    learner.meta_update(batch)
    assert captured["loss"] == pytest.approx(float(total.detach()), abs=1e-6)
    for name, grad in zip(theta, grads, strict=True):
        torch.testing.assert_close(captured[name], grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("baseline", ["linear", "value_head"])
def test_advantages_are_standardised_over_the_meta_batch_and_not_per_task(baseline):
    """Mean 0 and std 1 over all trials together; a trial that went better than its values said stays above 0."""
    tasks = Scripted()
    learner = make(tasks, baseline=baseline)
    batch = collect(learner, tasks, ENDS)
    episodes = stack_episodes([data.query for data in batch])
    chunks, _, _ = learner.data.prepare(learner.theta, episodes, join_episodes(episodes), learner.return_units)
    taken = chunks.advantages[chunks.mask]
    torch.testing.assert_close(taken.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(taken.std(correction=0), torch.tensor(1.0), atol=1e-4, rtol=0)
    means = [float(chunks.advantages[:, b][chunks.mask[:, b]].mean()) for b in range(3)]
    assert max(means) > 0.05 and min(means) < -0.05


def values_of(learner, episodes, trials):
    outputs = learner.data.prepare(learner.theta, episodes, trials, learner.return_units)[1]
    return learner.return_units.restore(learner.policy.value(learner.theta, outputs))


def test_the_value_heads_units_change_without_changing_what_it_predicts():
    tasks = Scripted()
    learner = perturbed(make(tasks, epochs=1, minibatches=1, lr=1e-30))
    batch = collect(learner, tasks, ENDS)
    episodes = stack_episodes([data.query for data in batch])
    trials = join_episodes(episodes)
    learner.meta_update(batch)
    before = values_of(learner, episodes, trials)
    moments = learner.return_units.moments
    other = [dataclasses.replace(d, query=dataclasses.replace(d.query, rewards=d.query.rewards * 9)) for d in batch]
    learner.meta_update(other)
    assert (learner.return_units.moments - moments).abs().max() > 1
    after = values_of(learner, episodes, trials)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("memory", MEMORY_KINDS)
@pytest.mark.parametrize("tasks", [Scripted(), Scripted(discrete=True)])
def test_inputs_are_normalised_by_what_all_meta_training_has_fed(memory, tasks):
    """Scales by numpy from two batches; actor and learner share them; Adam leaves them alone."""
    learner = make(tasks, memory=memory, normalize_inputs=True)
    fed = []
    for seed in (1, 2):
        batch = collect(learner, tasks, ENDS, seed=(seed,))
        trials = join_episodes(stack_episodes([data.query for data in batch]))
        fed.append(
            trial_inputs(learner.policy, trials, torch.zeros(3, learner.policy.previous_dim))[0][trials.mask].numpy()
        )
        assert learner.meta_update(batch)["log_prob_mismatch"] < 1e-5
    fed = np.concatenate(fed).astype(np.float64)
    size = tasks.spec.obs_dim
    scaled = [*range(size), -2]  # observations and the reward, not the action and the end
    mean, std = np.zeros(fed.shape[1]), np.ones(fed.shape[1])
    mean[scaled], std[scaled] = fed[:, scaled].mean(0), np.maximum(fed[:, scaled].std(0), 1e-3)
    np.testing.assert_allclose(learner.theta["input.mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learner.theta["input.std"], std, rtol=1e-4)
    assert (fed[:, scaled].std(0) > 1e-3).any()
    assert not {"input.mean", "input.std"} & set(learner.meta_optimizer.state_dict()["first"])
    plain = dataclasses.replace(learner.policy, normalize_inputs=False)
    x = torch.from_numpy(fed[:6]).float().unsqueeze(1)
    by_hand = ((x - learner.theta["input.mean"]) / learner.theta["input.std"]).clamp(-10, 10)
    start = learner.behaviour().prior()["state"].unsqueeze(0)
    expected, _ = plain.sequence(learner.theta, by_hand, start)
    torch.testing.assert_close(learner.policy.sequence(learner.theta, x, start)[0], expected)


def test_the_update_stops_at_max_kl():
    tasks = Scripted()
    metrics = {}
    for max_kl in (None, 1e-3):
        learner = perturbed(make(tasks, epochs=20, lr=0.03, max_kl=max_kl))
        metrics[max_kl] = learner.meta_update(collect(learner, tasks, ENDS))
    assert metrics[None]["minibatch_steps"] == 40 and metrics[None]["kl_stopped"] == 0
    assert 1 <= metrics[1e-3]["minibatch_steps"] < 40 and metrics[1e-3]["kl_stopped"] == 1


@pytest.mark.parametrize("kind", ["nan", "masked"])
def test_bad_episodes_are_refused_and_nothing_changes(kind):
    tasks = Scripted()
    learner = make(tasks)
    batch = collect(learner, tasks, ENDS)
    query = batch[1].query
    rewards, mask = query.rewards.clone(), query.mask.clone()
    if kind == "nan":
        rewards[0, 1] = float("nan")
    else:
        mask[:] = False
    batch[1] = dataclasses.replace(batch[1], query=dataclasses.replace(query, rewards=rewards, mask=mask))
    before = {name: p.clone() for name, p in learner.theta.items()}
    with pytest.raises(UserError, match="NaN or infinity in the rewards" if kind == "nan" else "no step to adapt on"):
        learner.meta_update(batch)
    with pytest.raises(UserError):
        learner.behaviour().adapt([learner.behaviour().prior()] * 3, [data.query for data in batch])
    assert all(torch.equal(learner.theta[name], p) for name, p in before.items())
    assert not learner.return_units.known


def test_constant_rewards_teach_nothing():
    tasks = Bandits(pulls=6)
    learner = make(tasks)
    batch = collect(learner, tasks, tasks.sample(4, rng=np.random.default_rng(0)))
    flat = [dataclasses.replace(d, query=dataclasses.replace(d.query, rewards=d.query.mask.float())) for d in batch]
    before = {name: p.clone() for name, p in learner.theta.items()}
    assert learner.meta_update(flat)["meta_step_accepted"] == 0
    assert all(torch.equal(learner.theta[name], p) for name, p in before.items())


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORY_KINDS)
@pytest.mark.timeout(900)
def test_learns_bandits(memory):
    """Three arms, 20 pulls: far above random, and above Thompson sampling, on bandits never seen."""
    tasks = Bandits(arms=3, pulls=20)
    config = RL2Config(
        memory=memory,
        **{"hidden_dim": 32, "encoder": (32,), "attention_window": 20, "chunk_steps": 20},
        **{"lr": 2e-3, "epochs": 3, "minibatches": 5, "entropy_coef": 0.01, "gae_lambda": 0.8},
    )
    learner = RL2(tasks.spec, config, generator=torch_rng((0,)))
    rng = np.random.default_rng(0)
    with RolloutPool(tasks, PoolConfig(workers=0, lanes_per_group=500)) as pool:
        for iteration in range(120):
            drawn = tasks.sample(250, rng=rng)
            batch = collect_meta_batch(
                pool, learner.behaviour(), drawn, support_episodes=1, query_episodes=1, seed=(0, iteration)
            )
            learner.meta_update(batch)
        drawn = tasks.sample(2000, rng=np.random.default_rng(1))
        played = collect_episodes(
            pool, learner.behaviour(), drawn, [learner.behaviour().prior()] * 2000, num_episodes=1, seed=(1,)
        )
    mean = float(torch.stack([e.returns_undiscounted() for e in played]).mean())
    references = {
        name: float(values.mean())
        for name, values in reference_returns(drawn, pulls=20, rng=np.random.default_rng(2)).items()
    }
    assert mean > references["random"] + 2 and mean > references["thompson"], (mean, references)


def test_lr_and_entropy_bonus_fall_linearly_to_a_tenth():
    tasks = Scripted()
    learner = perturbed(make(tasks, lr=0.01, entropy_coef=0.5, anneal_updates=4))
    sizes = []
    for _ in range(6):
        learner.meta_update(collect(learner, tasks, ENDS))
        sizes.append(learner.meta_optimizer.lr)
    assert sizes == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0.001, 0.001])


def test_annealing_goes_on_where_it_was_after_a_resume():
    tasks = Scripted()
    first = perturbed(make(tasks, lr=0.01, anneal_updates=4))
    for _ in range(2):
        first.meta_update(collect(first, tasks, ENDS))
    second = make(tasks, lr=0.01, anneal_updates=4)
    second.load_state_dict(first.state_dict())
    batch = collect(first, tasks, ENDS)
    first.meta_update(batch)
    second.meta_update(batch)
    assert second.meta_optimizer.lr == pytest.approx(0.005)
    for name, p in first.theta.items():
        torch.testing.assert_close(p, second.theta[name], rtol=0, atol=0)
