"""Where the gradient family's algorithms differ from MAML: against derivations, and references written out in loops."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metarl.agents.anil import ANILConfig, anil
from metarl.agents.e_maml import EMAMLConfig, e_maml, exploration_advantages, exploration_loss
from metarl.agents.fomaml import FOMAMLConfig, fomaml
from metarl.agents.maml import MAMLConfig, maml
from metarl.agents.meta_sgd import MetaSGDConfig, meta_sgd
from metarl.agents.promp import ProMPConfig, inner_kl, promp, ratio_loss
from metarl.agents.reptile import ReptileConfig, reptile
from metarl.envs.navigation import Navigation
from metarl.learn.params import flatten, trainable, unflatten, unstack
from metarl.learn.step_sizes import PREFIX
from metarl.rl.distributions import Gaussian
from metarl.rl.fast_weights import STEPS_TAKEN, log_prob_loss, mean_cosine
from metarl.seeding import torch_rng
from tests.agents.fast_weights import collect, double, learning_curve, meta_batch_of
from tests.rollout.envs import Scripted

TASKS = Scripted()


def make(build, config, tasks=TASKS):
    """A small learner in float64, with a batch for it that its own policies took."""
    learner = build(tasks.spec, dataclasses.replace(config, hidden=(4,)), generator=torch_rng((0,)))
    batch = double(collect(learner, tasks))
    learner.theta = {name: p.double() for name, p in learner.theta.items()}
    return learner, meta_batch_of(learner, batch), batch


def gradient_of(function, theta):
    theta = trainable(theta)
    grads = torch.autograd.grad(function(theta), list(theta.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(theta.items(), grads, strict=True)}


def assert_is_gradient(function, theta, *, names=None, h=1e-6):
    """Along random directions in the parameters `names`, against central differences."""
    gradient, vector = flatten(gradient_of(function, theta)), flatten(theta)
    free = flatten({name: torch.full_like(p, float(names is None or name in names)) for name, p in theta.items()})
    rng = torch.Generator().manual_seed(0)
    for _ in range(5):
        direction = torch.randn(vector.shape, generator=rng, dtype=torch.float64) * free
        up, down = (function(unflatten(vector + s * h * direction, theta)) for s in (1, -1))
        slope = float(gradient @ direction)
        assert abs(slope) > 1e-8, "a direction that does not matter would show nothing"
        assert slope == pytest.approx(float(up - down) / (2 * h), rel=1e-4, abs=1e-8)


def rows(data):
    """A stack of tasks as one dict a task."""
    return [{name: x[i] for name, x in data.items()} for i in range(len(data["mask"]))]


def log_probs_of(learner, weights, task):
    return learner.problem.policy.dist(weights, task["obs"]).log_prob(task["actions"])


def masked_average(values, mask):
    return values[mask].mean()


# ---- inner steps


def test_each_inner_step_is_smaller_by_the_decay():
    learner, meta_batch, batch = make(maml, MAMLConfig(inner_steps=3, inner_lr=0.4, inner_lr_decay=0.5))
    phis = [learner.behaviour().prior()] * 3
    for step in range(3):
        before = phis
        phis = learner.behaviour().adapt(phis, [data.supports[step] for data in batch])
        for old, new, task in zip(before, phis, rows(meta_batch.supports[step]), strict=True):
            weights = {name: old[name] for name in learner.theta}
            grads = gradient_of(lambda w, task=task: log_prob_loss(log_probs_of(learner, w, task), task), weights)
            for name, g in grads.items():
                torch.testing.assert_close(new[name], old[name] - 0.4 * 0.5**step * g)
            assert new[STEPS_TAKEN] == step + 1
    for stacked, phi in zip(unstack(meta_batch.old_phis[-1]), phis, strict=True):  # the meta-update does the same
        torch.testing.assert_close(stacked, {name: phi[name] for name in stacked})


def test_tasks_must_have_taken_equally_many_steps():
    learner, _, batch = make(maml, MAMLConfig())
    support = batch[0].supports[0]
    (once,) = learner.behaviour().adapt([learner.behaviour().prior()], [support])
    with pytest.raises(ValueError, match=r"\[0, 1\] inner steps"):
        learner.behaviour().adapt([learner.behaviour().prior(), once], [support, support])


def test_mean_cosine_by_hand():
    before = {"a": torch.zeros(3, 2)}
    after = {"a": torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])}
    assert mean_cosine(before, after) == pytest.approx((0 - 1 + 0) / 3)
    assert mean_cosine(before, {"a": torch.ones(3, 2)}) == pytest.approx(1)
    assert mean_cosine(before, before) == 0
    assert mean_cosine({"a": torch.zeros(1, 2)}, {"a": torch.ones(1, 2)}) == 0


# ---- FOMAML, ANIL, Meta-SGD


def test_fomamls_gradient_is_the_mean_gradient_at_the_phis():
    learner, meta_batch, _ = make(fomaml, FOMAMLConfig(inner_steps=2))
    objective = learner.outer_step.objective(meta_batch)
    actual = flatten(gradient_of(lambda theta: objective.loss_and_kl(theta)[0], learner.theta))
    expected = torch.zeros_like(actual)
    for phi, task in zip(unstack(meta_batch.old_phis[-1]), rows(meta_batch.query), strict=True):

        def loss(weights, task=task):
            return -masked_average(log_probs_of(learner, weights, task) * task["advantages"], task["mask"])

        expected += flatten(gradient_of(loss, phi)) / 3  # ratios are 1 here: log-probabilities do
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)  # log_probs were taken in float32


def test_anil_adapts_the_last_layer_and_nothing_else():
    learner, meta_batch, batch = make(anil, ANILConfig())
    full, _, _ = make(maml, MAMLConfig())
    supports = [data.supports[0] for data in batch]
    all_adapted = full.behaviour().adapt([full.behaviour().prior()] * 3, supports)
    for phi, other in zip(
        learner.behaviour().adapt([learner.behaviour().prior()] * 3, supports), all_adapted, strict=True
    ):
        for name in ("w0", "b0", "log_std"):
            assert torch.equal(phi[name], learner.theta[name])
            assert not torch.equal(other[name], full.theta[name])
        for name in ("w1", "b1"):
            torch.testing.assert_close(phi[name], other[name])
            assert not torch.equal(phi[name], learner.theta[name])
    objective = learner.outer_step.objective(meta_batch)
    assert_is_gradient(lambda theta: objective.loss_and_kl(theta)[0], learner.theta)  # the body is meta-learned


@pytest.mark.parametrize("per_step", [False, True])
def test_meta_sgds_step_sizes_have_the_gradient_of_the_meta_loss(per_step):
    learner, meta_batch, _ = make(meta_sgd, MetaSGDConfig(inner_steps=2, per_step=per_step))
    objective = learner.outer_step.objective(meta_batch)

    def loss(theta):
        return objective.loss_and_kl(theta)[0]

    sizes = [name for name in learner.theta if name.startswith(PREFIX)]
    assert len(sizes) == len(learner.problem.inner_loop.weight_names)
    assert {learner.theta[name].shape[0] for name in sizes} == {2 if per_step else 1}
    assert_is_gradient(loss, learner.theta)
    assert_is_gradient(loss, learner.theta, names=sizes)


def test_the_gradient_of_one_steps_size_by_hand():
    """phi = theta - alpha * g  =>  dL/dalpha = -g * dL/dphi, entry by entry."""
    learner, meta_batch, _ = make(meta_sgd, MetaSGDConfig())
    objective = learner.outer_step.objective(meta_batch)
    actual = gradient_of(lambda theta: objective.loss_and_kl(theta)[0], learner.theta)
    weights = learner.problem.inner_loop.weights(learner.theta)
    expected = {name: torch.zeros_like(p) for name, p in weights.items()}
    phis = unstack(meta_batch.old_phis[-1])
    for phi, support, query in zip(phis, rows(meta_batch.supports[0]), rows(meta_batch.query), strict=True):

        def outer(phi, query=query):
            ratio = (log_probs_of(learner, phi, query) - query["log_probs"]).exp()
            return -masked_average(ratio * query["advantages"], query["mask"])

        def inner(weights, support=support):
            return log_prob_loss(log_probs_of(learner, weights, support), support)

        g, upper = gradient_of(inner, weights), gradient_of(outer, phi)
        expected = {name: e - g[name] * upper[name] / 3 for name, e in expected.items()}
    for name, e in expected.items():
        torch.testing.assert_close(actual[PREFIX + name][0], e)


# ---- E-MAML


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_e_mamls_extra_term_is_the_score_function_weighted_by_the_gain(inner_steps):
    """To first order in the inner steps, so that each round's policy is theta's own: d log p / dtheta in loops."""
    learner, meta_batch, batch = make(e_maml, EMAMLConfig(inner_steps=inner_steps))
    before = [data.supports[0].returns_undiscounted().tolist() for data in batch]
    after = [float(data.query.returns_undiscounted().mean()) for data in batch]
    gains = [a - sum(b) / len(b) for a, b in zip(after, before, strict=True)]
    std = (sum((gain - sum(gains) / 3) ** 2 for gain in gains) / 3) ** 0.5
    advantages = [exploration_advantages(meta_batch, k) for k in range(inner_steps)]
    for k, i, j in itertools.product(range(inner_steps), range(3), range(len(before[0]))):
        others = [b for n, b in enumerate(before[i]) if k > 0 or n != j]
        mean_gain = sum(gains[:i] + gains[i + 1 :]) / 2
        expected = (after[i] - sum(others) / len(others) - mean_gain) / std
        assert float(advantages[k][i, j]) == pytest.approx(expected, abs=1e-6)

    def reference(theta):
        """Sum over tasks, rounds and steps of A log pi_phi_k(a|s), in Python loops."""
        total = torch.zeros((), dtype=torch.float64)
        for i in range(3):
            phi = learner.problem.inner_loop.weights(theta)
            for k, support in enumerate(meta_batch.supports):
                task = rows(support)[i]
                credit = torch.cat([a.expand(TASKS.spec.horizon_steps) for a in advantages[k][i]])
                total = total - masked_average(credit * log_probs_of(learner, phi, task), task["mask"])
                loss = log_prob_loss(log_probs_of(learner, phi, task), task)
                grads = torch.autograd.grad(loss, list(phi.values()), create_graph=True)
                phi = {
                    name: p - learner.problem.config.inner_lr * g
                    for (name, p), g in zip(phi.items(), grads, strict=True)
                }
        return total / (3 * inner_steps)

    problem = learner.problem
    actual = gradient_of(
        lambda theta: exploration_loss(problem.policy, meta_batch, problem.inner_loop.path(theta, meta_batch.supports)),
        learner.theta,
    )
    torch.testing.assert_close(actual, gradient_of(reference, learner.theta), atol=1e-5, rtol=1e-4)
    assert flatten(actual).norm() > 1e-3


def test_e_mamls_extra_term_is_0_where_adaptation_depends_on_nothing():
    """A query return drawn on its own teaches nothing about exploring: no drift, not even a baseline's."""
    policy = SimpleNamespace(dist=lambda phi, obs: Gaussian(phi["mean"].expand_as(obs), torch.zeros_like(obs)))
    rng = torch.Generator().manual_seed(0)
    gradients = []
    for _ in range(500):
        mean = torch.zeros((), dtype=torch.float64, requires_grad=True)
        actions, query = (torch.randn(200, 4, 1, generator=rng, dtype=torch.float64) for _ in range(2))
        every = torch.ones(200, 4, dtype=torch.bool)

        def batch(a, every=every):
            old = policy.dist({"mean": torch.zeros(())}, a).log_prob(a)
            return {"obs": a, "actions": a, "log_probs": old, "mask": every, "returns": a.squeeze(-1), "kept": every}

        meta_batch = SimpleNamespace(supports=[batch(actions)], query=batch(query))
        gradients += torch.autograd.grad(exploration_loss(policy, meta_batch, [{"mean": mean}] * 2), mean)
    gradients = torch.stack(gradients)
    # 0.16 if the credited episode were in its own baseline; the gains' std leaves a part of the order of 1 / tasks
    assert abs(float(gradients.mean())) < 0.01
    assert float(gradients.std()) > 0.01


@pytest.mark.parametrize("dropped", [(), (1,)])
def test_e_maml_with_one_episode_a_task_compares_with_the_other_tasks(dropped):
    """There is no other episode of its own to take a baseline from."""
    kept = torch.tensor([[True, i not in dropped] for i in range(3)])[:, : 2 if dropped else 1]
    before = torch.tensor([[1.0, 5.0], [2.0, 0.0], [4.0, 9.0]], dtype=torch.float64)[:, : kept.shape[1]] * kept
    after = torch.tensor([[3.0], [5.0], [4.0]], dtype=torch.float64)
    query = {"returns": after, "kept": torch.ones(3, 1, dtype=torch.bool), "log_probs": after}
    batch = SimpleNamespace(supports=[{"returns": before, "kept": kept}], query=query)
    advantages = exploration_advantages(batch, 0)
    means = [float(row[k].mean()) for row, k in zip(before, kept, strict=True)]
    gains = [float(a) - m for a, m in zip(after, means, strict=True)]
    std = float(np.std(gains))
    expected = (5.0 - (means[0] + means[2]) / 2 - (gains[0] + gains[2]) / 2) / std
    assert float(advantages[1, 0]) == pytest.approx(expected)


def test_e_maml_without_the_term_is_maml_and_with_it_has_its_gradient():
    plain, meta_batch, _ = make(maml, MAMLConfig())
    without, _, _ = make(e_maml, EMAMLConfig(exploration_weight=0))
    learner, _, _ = make(e_maml, EMAMLConfig(exploration_weight=0.5))

    def loss_of(learner):
        objective = learner.outer_step.objective(meta_batch)
        return lambda theta: objective.loss_and_kl(theta)[0]

    theta = plain.theta
    torch.testing.assert_close(gradient_of(loss_of(without), theta), gradient_of(loss_of(plain), theta))
    assert flatten(gradient_of(loss_of(learner), theta)).sub(flatten(gradient_of(loss_of(plain), theta))).norm() > 1e-3
    assert_is_gradient(loss_of(learner), theta)


# ---- ProMP


def test_the_ratio_loss_has_the_policy_gradient_at_the_old_policy_and_another_hessian():
    learner, meta_batch, _ = make(promp, ProMPConfig())
    weights = learner.problem.inner_loop.weights(learner.theta)
    for task in rows(meta_batch.supports[0]):
        task["log_probs"] = log_probs_of(learner, weights, task).detach()  # to float64's last digit

        def loss_by(inner_loss, task=task):
            return lambda w: inner_loss(log_probs_of(learner, w, task), task)

        torch.testing.assert_close(
            gradient_of(loss_by(ratio_loss), weights), gradient_of(loss_by(log_prob_loss), weights)
        )

        def gradient_at_a_shift(inner_loss, task=task):
            shifted = {name: p + 0.1 for name, p in weights.items()}
            return flatten(gradient_of(lambda w: inner_loss(log_probs_of(learner, w, task), task), shifted))

        assert (gradient_at_a_shift(ratio_loss) - gradient_at_a_shift(log_prob_loss)).norm() > 1e-3


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_promps_meta_loss_by_its_definition(inner_steps):
    learner, meta_batch, _ = make(promp, ProMPConfig(inner_steps=inner_steps, clip=0.05, inner_kl_penalty=0.7))
    theta = {name: p + 0.05 for name, p in learner.theta.items()}
    losses, kls = [], []
    for i in range(3):
        phi, old_phi = theta, learner.theta
        for support in meta_batch.supports:
            task = rows(support)[i]
            dist, old = learner.problem.policy.dist(phi, task["obs"]), learner.problem.policy.dist(old_phi, task["obs"])
            kls.append(masked_average(dist.kl_from(old), task["mask"]))

            def step(weights, task=task):
                grads = gradient_of(lambda w: ratio_loss(log_probs_of(learner, w, task), task), weights)
                return {name: p - learner.problem.config.inner_lr * grads[name] for name, p in weights.items()}

            phi, old_phi = step(phi), step(old_phi)
        query = rows(meta_batch.query)[i]
        ratio = (log_probs_of(learner, phi, query) - query["log_probs"]).exp()
        a = query["advantages"]
        losses.append(-masked_average(torch.minimum(ratio * a, ratio.clamp(0.95, 1.05) * a), query["mask"]))
    expected = sum(losses) / 3 + 0.7 * sum(kls) / (3 * inner_steps)
    torch.testing.assert_close(learner.outer_step.loss(meta_batch, theta), expected)
    assert_is_gradient(lambda theta: learner.outer_step.loss(meta_batch, theta), theta)
    assert abs(inner_kl(learner.problem.policy, meta_batch, meta_batch.old_phis)) < 1e-12


def test_promp_takes_its_adam_steps_on_one_meta_batch():
    learner, meta_batch, _ = make(promp, ProMPConfig(adam_steps=4, lr=0.01))
    before = learner.outer_step.loss(meta_batch, learner.theta)
    theta, metrics = learner.outer_step.step(meta_batch, learner.theta)
    assert learner.outer_step.state_dict()["num_steps"] == 4
    assert learner.outer_step.loss(meta_batch, theta) < before
    assert metrics["meta_loss"] == pytest.approx(float(before)) and metrics["inner_kl"] > 0
    assert 0 <= metrics["clip_fraction"] < 1


# ---- Reptile


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_reptiles_step_by_hand(inner_steps):
    """theta + meta_lr * mean(phi - theta), phi after plain gradient descent on the supports and on the query."""
    learner, meta_batch, _ = make(reptile, ReptileConfig(inner_steps=inner_steps, inner_lr=0.3, meta_lr=0.25))
    ends = []
    for i in range(3):
        phi = learner.theta
        for data in (*meta_batch.supports, meta_batch.query):
            task = rows(data)[i]
            grads = gradient_of(lambda w, task=task: log_prob_loss(log_probs_of(learner, w, task), task), phi)
            phi = {name: p - 0.3 * grads[name] for name, p in phi.items()}
        ends.append(flatten(phi))
    theta, metrics = learner.outer_step.step(meta_batch, learner.theta)
    start = flatten(learner.theta)
    torch.testing.assert_close(flatten(theta), start + 0.25 * (torch.stack(ends).mean(0) - start))
    assert metrics["meta_step_accepted"] == 1


# ---- all of them


@pytest.mark.slow
@pytest.mark.parametrize(
    "build, config, gain",
    [
        (fomaml, FOMAMLConfig(), 12),
        (anil, ANILConfig(), 12),
        (meta_sgd, MetaSGDConfig(), 12),
        (e_maml, EMAMLConfig(), 12),
        (promp, ProMPConfig(lr=1e-2), 8),
        (reptile, ReptileConfig(inner_lr=0.2, inner_steps=3, meta_lr=1.0), 8),
    ],
    ids=["fomaml", "anil", "meta_sgd", "e_maml", "promp", "reptile"],
)
def test_they_learn_navigation(build, config, gain):
    """10 meta-updates, 1 to 5 s each: the return after adaptation rises from about -45."""
    tasks = Navigation()
    config = dataclasses.replace(config, hidden=(32, 32), init_std=0.5)
    returns = learning_curve(build(tasks.spec, config, generator=torch_rng((0,))), tasks, iterations=10)
    assert np.mean(returns[-2:]) > np.mean(returns[:2]) + gain
