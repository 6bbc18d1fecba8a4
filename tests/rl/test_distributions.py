"""Distributions against torch.distributions; their Fisher products against the Hessian of the KL."""

import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from metarl.rl.distributions import Categorical, Gaussian

N, A = 7, 3


def gaussian(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return Gaussian(*torch.randn(2, N, A, generator=rng, dtype=torch.float64))


def categorical(seed=0):
    return Categorical(3 * torch.randn(N, A, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def oracle(dist):
    if isinstance(dist, Gaussian):
        return Independent(Normal(dist.mean, dist.log_std.exp()), 1)
    return TorchCategorical(logits=dist.logits)


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_log_prob_entropy_and_kl_equal_torch(make):
    new, old = make(0), make(1)
    actions = oracle(old).sample()
    torch.testing.assert_close(new.log_prob(actions), oracle(new).log_prob(actions))
    torch.testing.assert_close(new.entropy(), oracle(new).entropy())
    torch.testing.assert_close(new.kl_from(old), kl_divergence(oracle(old), oracle(new)))
    assert (new.kl_from(new).abs() < 1e-12).all()


def test_gaussian_sample_is_mean_plus_std_times_noise():
    dist, noise = gaussian(), torch.linspace(-1, 1, N * A, dtype=torch.float64).view(N, A)
    torch.testing.assert_close(dist.sample(noise), dist.mean + dist.log_std.exp() * noise)
    assert torch.equal(dist.mode(), dist.mean)


def test_gumbel_samples_have_the_softmax_frequencies():
    logits = torch.tensor([1.0, 0.0, -1.5, 0.5])
    count = 100_000
    noise = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    actions = Categorical(logits.expand(count, 4)).sample(noise)
    assert actions.dtype == torch.int64
    frequencies = torch.bincount(actions, minlength=4) / count
    torch.testing.assert_close(frequencies, logits.softmax(-1), atol=0.006, rtol=0)  # 4 standard errors


@pytest.mark.parametrize("edge", [0.0, 1.0 - 2**-24])
def test_gumbel_survives_the_ends_of_the_noise(edge):
    noise = torch.tensor([[edge, 0.5, 0.5]])
    action = Categorical(torch.zeros(1, 3)).sample(noise)
    assert action == (0 if edge else action) and (action != 0 or edge)


def test_gumbel_keeps_impossible_actions_impossible():
    logits = torch.tensor([0.0, -torch.inf, 0.0]).expand(1000, 3)
    actions = Categorical(logits).sample(torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)))
    assert set(actions.tolist()) == {0, 2}


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_sample_is_a_function_of_the_noise_alone(make):
    dist = make()
    noise = torch.rand(N, A, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.manual_seed(0)
    first = dist.sample(noise)
    torch.manual_seed(1)
    assert torch.equal(first, dist.sample(noise.clone()))
    assert not torch.equal(first, dist.sample(1 - noise))


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_fisher_product_equals_the_hessian_of_the_kl(make):
    """At equal distributions, where the KL's first derivative is zero."""
    old = make()
    sizes = [o.numel() for o in old]

    def kl(flat):
        parts = [piece.view(N, A) for piece in flat.split(sizes)]
        return type(old)(*parts).kl_from(old).sum()

    hessian = torch.autograd.functional.hessian(kl, torch.cat([o.reshape(-1) for o in old]))
    rng = torch.Generator().manual_seed(5)
    tangent = type(old)(*(torch.randn(N, A, generator=rng, dtype=torch.float64) for _ in old))
    expected = hessian @ torch.cat([t.reshape(-1) for t in tangent])
    actual = torch.cat([f.reshape(-1) for f in old.fisher_product(tangent)])
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_detach_cuts_the_graph_and_keeps_the_values(make):
    dist = type(make())(*(o.clone().requires_grad_() for o in make()))
    for detached, original in zip(dist.detach(), dist, strict=True):
        assert torch.equal(detached, original) and not detached.requires_grad
