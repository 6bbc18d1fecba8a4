"""Own normalisation against torch's, whose values and first derivatives are right."""

import pytest
import torch
import torch.nn.functional as F

from metarl.fewshot.norm import EPS, batch_norm, fused_batch_norm, layer_norm


def inputs(shape=(6, 3, 4, 5), seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=rng, dtype=dtype) * 2 + 1
    gain = torch.rand(shape[1], generator=rng, dtype=dtype) + 0.5
    return x, gain, torch.randn(shape[1], generator=rng, dtype=dtype)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 3)])
def test_batch_norm_equals_torchs_and_gives_its_statistics(shape):
    x, gain, bias = inputs(shape)
    out, (mean, var) = batch_norm(x, gain, bias)
    torch.testing.assert_close(out, F.batch_norm(x, None, None, gain, bias, training=True), atol=1e-12, rtol=0)
    dims = tuple(d for d in range(x.dim()) if d != 1)
    torch.testing.assert_close(mean[0], x.mean(dims))
    torch.testing.assert_close(var[0], x.var(dims, correction=0))


def test_groups_are_normalised_apart():
    x, gain, bias = inputs()
    out, (mean, _) = batch_norm(x, gain, bias, groups=2)
    for g in range(2):
        alone, (own_mean, _) = batch_norm(x[3 * g : 3 * g + 3], gain, bias)
        torch.testing.assert_close(out[3 * g : 3 * g + 3], alone)
        torch.testing.assert_close(mean[g], own_mean[0])


@pytest.mark.parametrize("per_group", [False, True])
def test_given_statistics_are_used(per_group):
    x, gain, bias = inputs()
    mean, var = torch.arange(3.0, dtype=x.dtype), torch.ones(3, dtype=x.dtype) * 4
    given = (mean.expand(2, 3), var.expand(2, 3)) if per_group else (mean, var)
    out, _ = batch_norm(x, gain, bias, groups=2, statistics=given)
    expected = F.batch_norm(x, mean, var, gain, bias, training=False)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)


def test_the_fused_kernel_gives_the_same_values_statistics_and_gradients():
    x, gain, bias = inputs(dtype=torch.float32)
    results = []
    for normalise in (batch_norm, fused_batch_norm):
        leaves = [t.clone().requires_grad_() for t in (x, gain, bias)]
        out, statistics = normalise(*leaves)
        results.append([out, *statistics, *torch.autograd.grad((out**3).sum(), leaves)])
    for own, fused in zip(*results, strict=True):
        torch.testing.assert_close(own, fused, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 7)])
def test_layer_norm_equals_torchs(shape):
    x, gain, bias = inputs(shape)
    normal = F.layer_norm(x, shape[1:], eps=EPS)
    view = (-1, *(1,) * (len(shape) - 2))
    torch.testing.assert_close(
        layer_norm(x, gain, bias), normal * gain.view(view) + bias.view(view), atol=1e-12, rtol=0
    )
