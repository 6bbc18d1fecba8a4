"""Own normalisation against torch's, whose values and first derivatives are right."""

import pytest
import torch
import torch.nn.functional as F

from metarl.fewshot.nets.norm import EPS, batch_norm, conv_moments, fold, fused_batch_norm, layer_norm


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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels, groups", [(1, 1), (3, 1), (2, 3)])
def test_moments_of_a_convolution_are_had_without_it(stride, channels, groups):
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(5, groups * channels, 9, 8, generator=rng, dtype=torch.float64) * 2 + 3
    weight = torch.randn(groups * 4, channels, 3, 3, generator=rng, dtype=torch.float64).requires_grad_()
    found = conv_moments(x, weight, stride=stride, groups=groups)
    outputs = F.conv2d(x, weight, stride=stride, padding=1, groups=groups)
    expected = outputs.mean((0, 2, 3)), outputs.var((0, 2, 3), correction=0)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == (1, groups * 4)
        torch.testing.assert_close(a[0], b, atol=1e-12, rtol=1e-12)
    gradients = [torch.autograd.grad(s.square().sum(), weight)[0] for s in (torch.cat(found), torch.stack(expected))]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=1e-10)


def test_moments_of_a_bright_smooth_image_are_right_in_float32():
    """Differences of neighbours are a thousandth of what they are differences of."""
    ramp = torch.linspace(0, 1, 84, dtype=torch.float64)
    x = (100 + (ramp[:, None] + ramp)).expand(4, 3, 84, 84)
    weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight -= weight.mean((2, 3), keepdim=True)
    exact = conv_moments(x, weight, stride=1)
    for a, b in zip(conv_moments(x.float(), weight.float(), stride=1), exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-2)
    assert (conv_moments(torch.zeros(2, 1, 8, 8), weight[:, :1].float(), stride=2)[1] == 0).all()


def test_a_folded_convolution_is_the_normalised_one():
    x, gain, bias = inputs((6, 3, 8, 8))
    weight = torch.randn(3, 3, 3, 3, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    outputs = F.conv2d(x, weight, padding=1)
    normal, statistics = batch_norm(outputs, gain, bias)
    filters, offsets = fold(weight, gain, bias, statistics)
    torch.testing.assert_close(F.conv2d(x, filters, offsets, padding=1), normal, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 7)])
def test_layer_norm_equals_torchs(shape):
    x, gain, bias = inputs(shape)
    normal = F.layer_norm(x, shape[1:], eps=EPS)
    view = (-1, *(1,) * (len(shape) - 2))
    torch.testing.assert_close(
        layer_norm(x, gain, bias), normal * gain.view(view) + bias.view(view), atol=1e-12, rtol=0
    )
