"""RL²: what reaches the memory, that learner and actor agree, and that it learns bandits."""

import dataclasses

import numpy as np
import pytest
import torch

from agents.rl2 import RL2, RL2Config
from envs.bandits import Bandits, reference_returns
from envs.navigation import Navigation
from metarl.checkpoint import load_checkpoint, save_checkpoint
from metarl.collect import collect_episodes, collect_meta_batch
from metarl.errors import UserError
from metarl.evaluation import EvaluationConfig, meta_evaluate
from metarl.recurrent import MEMORY_KINDS
from metarl.rollout.actor import ActorInput
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import torch_rng
from metarl.trained import adapt_to
from metarl.trials import join_episodes
from metarl.types import Task, stack_episodes
from tests.rollout_envs import Scripted, same_bytes

SMALL = {
    **{"hidden_dim": 8, "attention_window": 7, "reward_input_scale": 0.01},
    **{"epochs": 2, "minibatches": 2, "chunk_steps": 4, "lr": 1e-2},
}


def make(tasks, *, seed=0, **config):
    return RL2(tasks.spec, RL2Config(**SMALL | config), generator=torch_rng((seed,)))


def scripted_task(name="t", **params):
    return Task(name, params)


def collect(learner, tasks, drawn, *, episodes=3, workers=0, seed=(1,), lanes_per_group=50, phis=None):
    with RolloutPool(tasks, PoolConfig(workers=workers, lanes_per_group=lanes_per_group)) as pool:
        if phis is not None:
            return collect_episodes(pool, learner, drawn, phis, num_episodes=episodes, seed=seed)
        return collect_meta_batch(pool, learner, drawn, support_episodes=1, query_episodes=episodes, seed=seed)


ENDS = [scripted_task(lengths=[2, 4, 3]), scripted_task(lengths=[5, 1, 1], end="truncated"), scripted_task()]
"""Trials of several episodes that terminate, are truncated by the environment, and by the horizon."""


def perturbed(learner):
    """Away from the small last layer, so that the memory matters to the actions."""
    rng = torch.Generator().manual_seed(5)
    learner.theta = {n: p + 0.5 * torch.randn(p.shape, generator=rng) for n, p in learner.theta.items()}
    return learner


class Listening:
    """An actor around RL2's own that keeps what its policy's step is fed."""

    def __init__(self, actor):
        self.actor, self.previous = actor, []
        self.noise_dim, self.uniform_noise = actor.noise_dim, actor.uniform_noise
        policy = actor.policy

        class Policy:
            spec = policy.spec
            encode_transitions = staticmethod(policy.encode_transitions)

            @staticmethod
            def step(theta, obs, previous, state):
                self.previous.append(previous.clone())
                return policy.step(theta, obs, previous, state)

        actor.policy = Policy()

    def start(self, *args):
        return self.actor.start(*args)

    def act(self, *args):
        return self.actor.act(*args)


@pytest.mark.parametrize("end, discrete", [("terminated", False), ("truncated", False), ("terminated", True)])
def test_last_reward_and_end_of_an_episode_reach_the_memory(end, discrete):
    """Also the action that ended it; and the first step of a trial is told that there was nothing before."""
    tasks = Scripted(discrete=discrete)
    learner = make(tasks)
    actor = Listening(learner.actor())
    learner.actor = lambda deterministic=False: actor
    (data,) = collect(learner, tasks, [scripted_task(lengths=[2, 1, 3], end=end)])
    fed = torch.cat(actor.previous)
    mask = data.query.mask
    actions, rewards = data.query.actions[mask], data.query.rewards[mask]
    if discrete:
        actions = torch.nn.functional.one_hot(actions, 4).float()
    assert fed.shape == (6, tasks.spec.action_dim + 2)
    assert not fed[0].any()
    torch.testing.assert_close(fed[1:, :-2], actions[:-1])
    torch.testing.assert_close(fed[1:, -2], rewards[:-1] * learner.config.reward_input_scale)
    assert fed[:, -1].tolist() == [0, 0, 1, 1, 0, 0]
    assert rewards[1] != 0 and rewards[2] != 0  # those of the steps that ended episodes


def test_memory_lives_through_a_trial_and_starts_empty_for_each_task():
    """The same episode as a trial's first or second differs; as a first after another task's trial it does not."""
    tasks = Scripted()
    learner = perturbed(make(tasks))
    one, other = scripted_task("one", lengths=[3, 3]), scripted_task("other", lengths=[2, 5])
    first, again = (
        collect(learner, tasks, drawn, episodes=2, lanes_per_group=1)[-1].query for drawn in ([one], [other, one])
    )
    # the second was collected under another seed, so compare inputs that do not depend on it: replay both
    for trial in (first, again):
        (phi,) = learner.adapt([learner.prior()], [trial])
        (only_last,) = learner.adapt([learner.prior()], [_episode(trial, 1)])
        assert (phi["state"] - only_last["state"]).abs().max() > 1e-3
    with RolloutPool(tasks, PoolConfig(workers=0, lanes_per_group=1)) as pool:
        phi = learner.prior()
        alone = collect_episodes(pool, learner, [one], [phi], num_episodes=2, seed=(3,))
        collect_episodes(pool, learner, [other], [phi], num_episodes=2, seed=(4,))
        after = collect_episodes(pool, learner, [one], [phi], num_episodes=2, seed=(3,))
    assert same_bytes(alone, after)


def _episode(trial, n):
    return dataclasses.replace(trial, **{name: x[n : n + 1] for name, x in vars(trial).items()})


@pytest.mark.parametrize("memory", MEMORY_KINDS)
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("inputs", [{}, {"encoder": (6,)}, {"input_changes": True}])
def test_the_learners_log_probs_are_the_actors(memory, discrete, inputs):
    """Over whole trials, in chunks that cut through episodes, with terminations and truncations."""
    tasks = Scripted(discrete=discrete)
    learner = perturbed(make(tasks, memory=memory, **inputs))
    batch = collect(learner, tasks, ENDS)
    episodes = stack_episodes([data.query for data in batch])
    trials = join_episodes(episodes)
    assert trials.lengths.tolist() == [9, 7, 18]
    chunks, outputs, metrics = learner._prepare(episodes, trials, learner.return_units)
    assert chunks.inputs.shape[:3] == (4, 3, 5)
    assert metrics["log_prob_mismatch"] < 1e-5
    # the loss runs all chunks side by side from the stored states
    side_by_side = chunks.of_trials(torch.arange(3))
    again, _ = learner.policy.sequence(learner.theta, side_by_side.inputs, side_by_side.states)
    log_probs = learner.policy.dist(learner.theta, again).log_prob(side_by_side.actions)
    torch.testing.assert_close(
        log_probs * side_by_side.mask, side_by_side.log_probs * side_by_side.mask, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(again.unflatten(1, (3, 5)), outputs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory", MEMORY_KINDS)
@pytest.mark.parametrize("input_changes", [False, True])
def test_adapt_and_going_on_equals_one_long_trial(memory, input_changes):
    """A trial of four episodes, and one of two from the phi that two support episodes left, are the same trial."""
    tasks = Scripted()
    learner = perturbed(make(tasks, memory=memory, input_changes=input_changes))
    drawn = [scripted_task(lengths=[2, 4, 3, 5]), scripted_task(lengths=[1, 2, 2, 6])]
    whole = collect(learner, tasks, drawn, episodes=4, phis=[learner.prior()] * 2)
    head = [_first(trial, 2) for trial in whole]
    phis = learner.adapt([learner.prior()] * 2, head)
    step_by_step = [learner.adapt([learner.prior()], [_episode(trial, 0)])[0] for trial in whole]
    step_by_step = learner.adapt(step_by_step, [_episode(trial, 1) for trial in whole])
    for phi, same in zip(phis, step_by_step, strict=True):
        torch.testing.assert_close(phi, same, atol=1e-6, rtol=0)
    actor = learner.actor(deterministic=True)
    start = actor.start(phis, 1)
    obs = torch.stack([trial.obs[2, 0] for trial in whole])
    action, _, memory_after = actor.act(start, _no_previous(obs), torch.zeros(2, 0))
    full = learner.adapt([learner.prior()] * 2, [_first(trial, 2, plus_step=True) for trial in whole])
    torch.testing.assert_close(memory_after.state, torch.stack([phi["state"] for phi in full]), atol=1e-6, rtol=0)
    assert action.shape == (2, 2)


def _first(trial, n, *, plus_step=False):
    fields = {name: x[: n + plus_step].clone() for name, x in vars(trial).items()}
    if plus_step:
        fields["mask"][n, 1:] = False
    return dataclasses.replace(trial, **fields)


def _no_previous(obs):
    """What lockstep feeds at the start of a job."""
    return ActorInput(obs, torch.zeros(len(obs), 2), torch.zeros(len(obs)), torch.zeros(len(obs), dtype=torch.bool))


@pytest.mark.parametrize("tasks", [Scripted(), Scripted(discrete=True), Navigation(), Bandits(pulls=12)])
def test_adapt_leaves_theta_and_differs_between_tasks(tasks):
    learner = perturbed(make(tasks))
    drawn = tasks.sample(3, rng=np.random.default_rng(0))
    phis = [learner.prior()] * 3
    before = {name: p.clone() for name, p in learner.theta.items()}
    supports = collect(learner, tasks, drawn, phis=phis)
    adapted = learner.adapt(phis, supports)
    assert all(torch.equal(learner.theta[name], p) for name, p in before.items())
    assert not any(x.any() for x in phis[0].values())
    for i in range(3):
        assert all(torch.isfinite(x).all() and not x.requires_grad for x in adapted[i].values())
        for j in range(i):
            assert (adapted[i]["state"] - adapted[j]["state"]).abs().max() > 1e-4


@pytest.mark.parametrize("discrete", [False, True])
def test_workers_give_the_same_bytes(discrete):
    tasks = Scripted(discrete=discrete)
    learner = perturbed(make(tasks))
    phi = {name: torch.randn(x.shape, generator=torch_rng((9,))) for name, x in learner.prior().items()}
    here, there = (
        collect(learner, tasks, ENDS, phis=[phi] * 3, workers=workers, lanes_per_group=2) for workers in (0, 2)
    )
    assert same_bytes(here, there)


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
    chunks, _, _ = learner._prepare(episodes, trials, learner.return_units)
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


def values_of(learner, episodes, trials):
    outputs = learner._prepare(episodes, trials, learner.return_units)[1]
    return learner._values(episodes, trials, outputs, learner.return_units)


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
        fed.append(learner._inputs(trials, torch.zeros(3, learner.policy.previous_dim))[0][trials.mask].numpy())
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
    start = learner.prior()["state"].unsqueeze(0)
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
        learner.adapt([learner.prior()] * 3, [data.query for data in batch])
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


def test_the_evaluator_carries_the_memory():
    tasks = Navigation()
    learner = perturbed(make(tasks))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        config = EvaluationConfig(adaptation_episodes=2, test_episodes=1, adaptation_rounds=2, max_tasks=4)
        result = meta_evaluate(pool, learner, tasks.meta_test(), config, seed=(1,))
    returns = result.outcomes["deterministic"]["return"]
    assert returns.shape == (3, 4, 1)
    assert (np.abs(np.diff(returns, axis=0)) > 1e-6).all()  # no noise: the memory alone makes the difference


def test_no_test_episode_has_the_memory_of_another():
    """A deterministic env and mean actions: test episodes of a task are equal if all begin with the same memory."""
    tasks = Navigation(num_test_tasks=2)
    learner = perturbed(make(tasks))
    config = EvaluationConfig(adaptation_episodes=2, test_episodes=3)
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        result = meta_evaluate(pool, learner, tasks.meta_test(), config, seed=(0,))
    returns = result.outcomes["deterministic"]["return"]  # (rounds, tasks, episodes)
    np.testing.assert_allclose(returns[..., 1:], np.broadcast_to(returns[..., :1], returns[..., 1:].shape), rtol=1e-5)
    assert abs(returns[1, 0, 0] - returns[0, 0, 0]) > 1e-4  # while adaptation does change it


def test_nor_where_one_task_is_adapted_to():
    tasks = Navigation()
    learner = perturbed(make(tasks))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        settings = {"rounds": 1, "episodes": 2, "test_episodes": 3, "seed": (0,), "deterministic": True}
        tests = adapt_to(pool, learner, tasks.meta_test()[0], **settings).tests
    for episodes in tests:
        returns = episodes.returns_undiscounted()
        torch.testing.assert_close(returns, returns[:1].expand(3), rtol=1e-5, atol=0)


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
            batch = collect_meta_batch(pool, learner, drawn, support_episodes=1, query_episodes=1, seed=(0, iteration))
            learner.meta_update(batch)
        drawn = tasks.sample(2000, rng=np.random.default_rng(1))
        played = collect_episodes(pool, learner, drawn, [learner.prior()] * 2000, num_episodes=1, seed=(1,))
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
