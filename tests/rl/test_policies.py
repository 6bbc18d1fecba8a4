"""Policies as functions: stacked parameters equal a loop over tasks; the initial ranges; the clamp."""

import math

import pytest
import torch

from metarl.learn.inner_loop import inner_step
from metarl.learn.params import stack
from metarl.rl.policies import CategoricalMLP, GaussianMLP, init_mlp, mlp_policy
from metarl.types import EnvSpec

D, A = 5, 3
POLICIES = [GaussianMLP(D, A, (8, 7)), CategoricalMLP(D, A, (8, 7)), GaussianMLP(D, A, ())]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("policy", POLICIES, ids=["gauss", "cat", "linear"])
def test_stacked_parameters_equal_a_loop_over_tasks(policy):
    many = [{n: p.double() for n, p in policy.init(generator(seed)).items()} for seed in range(4)]
    many = [{n: p + 0.1 * i for n, p in params.items()} for i, params in enumerate(many)]
    obs = torch.randn(4, 6, D, generator=generator(9), dtype=torch.float64)
    together = policy.dist(stack(many), obs)
    vmapped = torch.func.vmap(lambda params, o: tuple(policy.dist(params, o)))(stack(many), obs)
    for i, params in enumerate(many):
        alone = policy.dist(params, obs[i])
        for whole, mapped, part in zip(together, vmapped, alone, strict=True):
            torch.testing.assert_close(whole[i], part, atol=1e-12, rtol=0)
            torch.testing.assert_close(mapped[i], part, atol=1e-12, rtol=0)


@pytest.mark.parametrize("policy", POLICIES[:2], ids=["gauss", "cat"])
def test_shared_parameters_broadcast_over_tasks(policy):
    params = policy.init(generator())
    obs = torch.randn(4, 6, D, generator=generator(9))
    for whole, first in zip(policy.dist(params, obs), policy.dist(params, obs[0]), strict=True):
        assert whole.shape == (4, 6, A)
        torch.testing.assert_close(whole[0], first)


def test_mlp_by_hand():
    policy = GaussianMLP(1, 1, (1,))
    params = {n: torch.tensor(v) for n, v in {"w0": [[2.0]], "b0": [0.5], "w1": [[3.0]], "b1": [-1.0]}.items()}
    dist = policy.dist(params | {"log_std": torch.zeros(1)}, torch.tensor([[0.25]]))
    torch.testing.assert_close(dist.mean, torch.tensor([[3.0 * math.tanh(1.0) - 1.0]]))


def test_initial_ranges():
    """Xavier uniform: bound sqrt(6 / (in + out)), a tenth of it in a policy's last layer; biases 0."""
    params = init_mlp((300, 200), generator())
    bound = math.sqrt(6 / 500)
    assert 0.99 * bound < params["w0"].abs().max() <= bound
    assert abs(params["w0"].std() - bound / math.sqrt(3)) < 0.01 * bound
    policy = GaussianMLP(100, 50, (200, 100), init_std=0.5)
    params = policy.init(generator())
    assert list(params) == ["w0", "b0", "w1", "b1", "w2", "b2", "log_std"]
    last = 0.1 * math.sqrt(6 / 150)
    assert 0.95 * last < params["w2"].abs().max() <= last
    assert params["w1"].shape == (200, 100) and params["w1"].abs().max() > 0.95 * math.sqrt(6 / 300)
    assert all((params[name] == 0).all() for name in ("b0", "b1", "b2"))
    torch.testing.assert_close(params["log_std"].exp(), torch.full((50,), 0.5))


def test_init_is_a_function_of_its_generator():
    policy = GaussianMLP(D, A)
    first, second, other = (policy.init(generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["w0"], other["w0"])


@pytest.mark.parametrize("log_std, std", [(-1e3, 0.01), (1e3, 5.0), (math.log(0.7), 0.7)])
def test_log_std_is_clamped(log_std, std):
    policy = GaussianMLP(D, A, min_std=0.01, max_std=5.0)
    params = policy.init(generator()) | {"log_std": torch.full((A,), log_std)}
    dist = policy.dist(params, torch.zeros(2, D))
    torch.testing.assert_close(dist.log_std.exp(), torch.full((2, A), std))
    assert torch.isfinite(dist.log_prob(torch.ones(2, A))).all()


def std_loss(policy, params, target):
    """Squared distance of the policy's log_std from a target, one task."""
    return (policy.dist(params, torch.zeros(1, policy.obs_dim, dtype=torch.float64)).log_std[0] - target).square().sum()


@pytest.mark.parametrize("outside", [math.log(1e-6), math.log(1e4)])
def test_a_log_std_outside_its_range_comes_back_by_gradient_steps(outside):
    policy = GaussianMLP(1, 1, (), min_std=0.01, max_std=5.0)
    params = {n: p.double() for n, p in policy.init(generator()).items()}
    log_std = torch.full((1,), outside, dtype=torch.float64)
    for _ in range(200):
        gradient = torch.func.grad(lambda x: std_loss(policy, params | {"log_std": x}, 0.5))(log_std)
        log_std = log_std - 0.1 * gradient
    torch.testing.assert_close(log_std, torch.tensor([0.5], dtype=torch.float64))


@pytest.mark.parametrize("first_order", [False, True])
def test_the_meta_gradient_of_a_clamped_log_std_by_hand(first_order):
    """l = (c(x) - a)^2, x' = x - lr 2 (c(x) - a), outer (c(x') - b)^2, c with the derivative of the identity:
    d outer / dx = 2 (c(x') - b) (1 - 2 lr); to first order 2 (c(x') - b). x below, x' below or not; over and in range.
    """
    policy = GaussianMLP(1, 1, (), min_std=0.01, max_std=5.0)
    params = {n: p.double() for n, p in policy.init(generator()).items()}
    low, high = math.log(0.01), math.log(5.0)
    x = torch.tensor([[low - 3], [low - 0.1], [0.3], [high + 0.2]], dtype=torch.float64, requires_grad=True)
    a, b, lr = 1.0, -0.5, 0.1

    def phi_of(x):
        return inner_step(
            lambda p, _: std_loss(policy, p, a), params | {"log_std": x}, None, inner_lr=lr, first_order=first_order
        )["log_std"]

    phi = torch.func.vmap(phi_of)(x)
    outer = torch.func.vmap(lambda p: std_loss(policy, params | {"log_std": p}, b))(phi).sum()
    (gradient,) = torch.autograd.grad(outer, x)
    by_hand = x.detach() - lr * 2 * (x.detach().clamp(low, high) - a)
    torch.testing.assert_close(phi.detach(), by_hand)
    torch.testing.assert_close(gradient, 2 * (by_hand.clamp(low, high) - b) * (1 if first_order else 1 - 2 * lr))


def test_inside_its_range_log_std_keeps_its_bits_and_project_too():
    policy = GaussianMLP(D, A, min_std=0.01, max_std=5.0)
    params = policy.init(generator()) | {"log_std": torch.empty(A).uniform_(-4, 1.5, generator=generator(1))}
    assert torch.equal(policy.dist(params, torch.zeros(1, D)).log_std[0], params["log_std"])
    assert all(torch.equal(p, params[name]) for name, p in policy.project(params).items())
    outside = policy.project(params | {"log_std": torch.tensor([-9.0, 0.0, 9.0])})
    torch.testing.assert_close(outside["log_std"].exp(), torch.tensor([0.01, 1.0, 5.0]))


def test_the_policy_fits_the_action_space():
    options = {"hidden": (4,), "init_std": 0.3, "min_std": 0.1}
    continuous = mlp_policy(EnvSpec(obs_dim=D, action_dim=A, horizon_steps=1), **options)
    discrete = mlp_policy(EnvSpec(obs_dim=D, action_dim=A, horizon_steps=1, discrete=True), **options)
    assert continuous == GaussianMLP(D, A, (4,), 0.3, 0.1)
    assert discrete == CategoricalMLP(D, A, (4,))
