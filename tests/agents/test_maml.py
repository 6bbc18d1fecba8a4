"""MAML's meta-objective against what it is by definition, and that it learns."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from metarl.agents.maml import MAMLConfig, maml
from metarl.envs.navigation import Navigation
from metarl.errors import NonFiniteError
from metarl.learn.meta_optimizer import fisher_vector_product
from metarl.learn.params import flatten, trainable, unflatten
from metarl.seeding import torch_rng
from metarl.types import EnvSpec
from tests.agents.fast_weights import collect, double, learning_curve, meta_batch_of
from tests.rollout.envs import Scripted

TASKS = Navigation()


def make(tasks=TASKS, **config):
    return maml(tasks.spec, MAMLConfig(**({"hidden": (4,)} | config)), generator=torch_rng((0,)))


def objective_of(learner, batch):
    """What the trust region is given."""
    return learner.outer_step.objective(meta_batch_of(learner, batch))


CASES = pytest.mark.parametrize(
    "tasks, config",
    [
        (Scripted(), {}),
        (Scripted(), {"inner_steps": 2}),
        (Scripted(), {"inner_steps": 3, "inner_lr_decay": 0.5, "judge_every_step": True}),
        (Scripted(discrete=True), {}),
        (Scripted(), {"first_order": True}),
    ],
    ids=["gauss", "gauss 2 steps", "gauss every step", "discrete", "first order"],
)


@CASES
def test_the_meta_objective_adapts_as_the_rollouts_did(tasks, config):
    """At theta the query's ratios are 1 and the KL is 0: phi(theta) is the phi that collected it."""
    learner = make(tasks, **config)
    batch = collect(learner, tasks)
    meta_batch = meta_batch_of(learner, batch)
    objective = learner.outer_step.objective(meta_batch)
    old_dist = learner.problem.policy.dist(meta_batch.old_phis[-1], meta_batch.query["obs"])
    for i, data in enumerate(batch):
        mask = data.query.mask.flatten()
        own = type(old_dist)(*(o[i] for o in old_dist))
        log_probs = own.log_prob(data.query.actions.flatten(0, 1))[mask]
        torch.testing.assert_close(log_probs, data.query.log_probs.flatten()[mask], atol=1e-4, rtol=1e-4)
    loss, kl = objective.loss_and_kl(learner.theta)
    assert abs(loss) < 1e-3 and abs(kl) < 1e-6  # advantages are standardised: ratios of 1 leave their mean, 0


@CASES
def test_meta_gradient_equals_finite_differences(tasks, config):
    """Of the real loss in float64. First order is no gradient of anything: there, the two must differ."""
    learner = make(tasks, **config)
    batch = double(collect(learner, tasks))
    learner.theta = {name: p.double() for name, p in learner.theta.items()}
    objective = objective_of(learner, batch)
    theta = trainable(learner.theta)
    gradient = flatten(
        dict(zip(theta, torch.autograd.grad(objective.loss_and_kl(theta)[0], list(theta.values())), strict=True))
    )
    vector, h = flatten(learner.theta), 1e-6
    rng = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(5):
        direction = torch.randn(vector.shape, generator=rng, dtype=torch.float64)
        up, down = (objective.loss_and_kl(unflatten(vector + s * h * direction, learner.theta))[0] for s in (1, -1))
        errors.append(float(gradient @ direction - (up - down) / (2 * h)) / float(gradient.norm()))
    if config.get("first_order"):
        assert max(map(abs, errors)) > 1e-2
    else:
        assert max(map(abs, errors)) < 1e-6


@pytest.mark.parametrize("config", [{}, {"inner_steps": 2, "judge_every_step": True}], ids=["1 step", "every step"])
def test_exact_fisher_products_equal_the_hessian_of_the_kl(config):
    learner = make(Scripted(), fisher_stride=1, **config)
    batch = double(collect(learner, Scripted()))
    learner.theta = {name: p.double() for name, p in learner.theta.items()}
    objective = objective_of(learner, batch)
    product = fisher_vector_product(objective, trainable(learner.theta))
    vector = flatten(learner.theta)
    hessian = torch.autograd.functional.hessian(lambda v: objective.loss_and_kl(unflatten(v, learner.theta))[1], vector)
    direction = torch.randn(vector.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(product(direction), hessian @ direction, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("config", [{}, {"inner_steps": 2, "judge_every_step": True}], ids=["1 step", "every step"])
def test_a_thinned_fisher_matrix_is_of_the_phis_of_all_support_steps(config):
    """Its states are thinned, and the derivative of phi: not the policy that it is the Fisher matrix of."""
    learner = make(Scripted(), fisher_stride=3, **config)
    batch = collect(learner, Scripted())
    meta_batch = meta_batch_of(learner, batch)
    dist, weights = learner.outer_step.objective(meta_batch).policy(trainable(learner.theta))
    judged = list(zip(meta_batch.old_phis[1:], [*meta_batch.supports[1:], meta_batch.query], strict=True))
    exact = [learner.problem.policy.dist(phi, data["obs"][:, ::3]) for phi, data in judged]
    for thinned, parts in zip(dist, zip(*exact, strict=True), strict=True):
        torch.testing.assert_close(thinned, torch.cat(parts, dim=1))
    assert float(weights.sum()) == pytest.approx(1)


def test_support_steps_that_are_not_thinned_give_the_exact_derivative_of_phi():
    """Then the Fisher matrix is the Hessian of the KL of the thinned query states."""
    learner = make(Scripted(), fisher_stride=3, fisher_support_stride=1)
    batch = double(collect(learner, Scripted()))
    learner.theta = {name: p.double() for name, p in learner.theta.items()}
    meta_batch = meta_batch_of(learner, batch)
    product = fisher_vector_product(learner.outer_step.objective(meta_batch), trainable(learner.theta))
    thinned = {name: x[:, ::3] if x.dim() > 1 else x for name, x in meta_batch.query.items()}
    few = make(Scripted(), fisher_stride=1).outer_step.objective(dataclasses.replace(meta_batch, query=thinned))
    vector = flatten(learner.theta)
    hessian = torch.autograd.functional.hessian(lambda v: few.loss_and_kl(unflatten(v, learner.theta))[1], vector)
    direction = torch.randn(vector.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(product(direction), hessian @ direction, atol=1e-9, rtol=1e-7)


def test_every_tasks_data_moves_the_update():
    learner = make()
    batch = collect(learner, TASKS)

    def theta_after(data):
        fresh = make()
        fresh.meta_update(data)
        return flatten(fresh.theta)

    whole = theta_after(batch)
    for i, data in enumerate(batch):
        for changed in (
            dataclasses.replace(data, query=dataclasses.replace(data.query, rewards=data.query.rewards.flip(0))),
            dataclasses.replace(
                data,
                supports=(dataclasses.replace(data.supports[0], rewards=data.supports[0].rewards.flip(0)),),
            ),
        ):
            assert (theta_after([*batch[:i], changed, *batch[i + 1 :]]) - whole).abs().max() > 1e-5
        assert (theta_after([*batch[:i], *batch[i + 1 :]]) - whole).abs().max() > 1e-5


def test_tasks_count_alike_whatever_their_number_of_steps():
    """The meta-loss is the mean of the tasks' own meta-losses, and so is the KL."""
    learner = make()
    batch = collect(learner, TASKS)
    query = batch[0].query
    mask = query.mask.clone()
    mask[:, 20:] = False
    batch[0] = dataclasses.replace(batch[0], query=dataclasses.replace(query, mask=mask, rewards=query.rewards * mask))
    theta = {name: p + 0.1 for name, p in learner.theta.items()}
    together = torch.stack(objective_of(make(), batch).loss_and_kl(theta))
    alone = torch.stack([torch.stack(objective_of(make(), [data]).loss_and_kl(theta)) for data in batch])
    torch.testing.assert_close(together, alone.mean(0), atol=1e-6, rtol=1e-4)
    assert (alone[:, 1] - together[1]).abs().min() > 1e-4  # so that other weights would show


def test_judged_at_every_step_support_sets_are_queries_of_the_steps_before():
    """The meta-loss and KL of 2 steps are the means of those of 1 step, with the second support set as its query,
    and of 2 steps."""
    learner = make(inner_steps=2, judge_every_step=True)
    batch = collect(learner, TASKS)
    first = [dataclasses.replace(data, supports=data.supports[:1], query=data.supports[1]) for data in batch]
    theta = {name: p + 0.1 for name, p in learner.theta.items()}
    together = torch.stack(objective_of(learner, batch).loss_and_kl(theta))
    one = torch.stack(objective_of(make(inner_steps=1), first).loss_and_kl(theta))
    two = torch.stack(objective_of(make(inner_steps=2), batch).loss_and_kl(theta))
    torch.testing.assert_close(together, (one + two) / 2, atol=1e-6, rtol=1e-4)
    assert (one - two).abs().min() > 1e-4


def test_the_update_stays_within_the_trust_region():
    learner = make(max_kl=1e-3)
    metrics = learner.meta_update(collect(learner, TASKS))
    assert metrics["meta_step_accepted"] == 1 and 0 < metrics["kl"] <= 1e-3


def test_an_exploding_inner_step_is_an_error_that_names_the_remedy():
    learner = make(inner_lr=1e39)
    batch = collect(make(), TASKS)
    with pytest.raises(NonFiniteError, match="inner_lr"):
        learner.behaviour().adapt([learner.behaviour().prior()], [batch[0].supports[0]])


@pytest.mark.parametrize(
    "field, value",
    [
        ("inner_lr", -0.1),
        ("inner_lr", math.nan),
        ("inner_steps", 0),
        ("gamma", 1.1),
        ("gae_lambda", -1),
        ("max_kl", 0),
    ],
)
def test_bad_config_names_field_value_and_rule(field, value):
    with pytest.raises(ValueError, match=f"{field}={value} must be"):
        MAMLConfig(**{field: value})


def test_discrete_and_continuous_spaces_get_their_policy():
    for discrete in (False, True):
        learner = maml(
            EnvSpec(obs_dim=3, action_dim=2, discrete=discrete, horizon_steps=5),
            MAMLConfig(hidden=(4,)),
            generator=torch_rng((0,)),
        )
        assert learner.problem.policy.discrete == discrete and ("log_std" in learner.theta) != discrete


def test_maml_learns_navigation():
    """6 meta-updates: the return after one adaptation step rises from about -46 to -22 (3 s)."""
    returns = learning_curve(make(hidden=(32, 32), init_std=0.5), TASKS, iterations=6)
    assert np.mean(returns[-2:]) > np.mean(returns[:2]) + 12
