"""Policies as functions: stacked parameters equal a loop over tasks; the initial ranges; the clamp."""

import math

import pytest
import torch

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


def test_the_policy_fits_the_action_space():
    options = {"hidden": (4,), "init_std": 0.3, "min_std": 0.1}
    continuous = mlp_policy(EnvSpec(obs_dim=D, action_dim=A, horizon_steps=1), **options)
    discrete = mlp_policy(EnvSpec(obs_dim=D, action_dim=A, horizon_steps=1, discrete=True), **options)
    assert continuous == GaussianMLP(D, A, (4,), 0.3, 0.1)
    assert discrete == CategoricalMLP(D, A, (4,))
