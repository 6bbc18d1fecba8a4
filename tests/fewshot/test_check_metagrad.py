"""The check that users run on their own net finds what torch gets wrong, and says it in a sentence."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.check_metagrad import check_metagrad

X = torch.randn(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def net(*norm, seed=0):
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), *norm, nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
    return layers


class Recurrent(nn.Module):
    """An LSTM over the rows, and a layer on its last output."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


@pytest.mark.parametrize("model", [net(), net(nn.GroupNorm(2, 4))], ids=["plain", "group norm"])
def test_a_sound_net_passes(model):
    before = [p.clone() for p in model.parameters()]
    report = check_metagrad(model, X, Y)
    assert report.ok and "agree" in report.message and report.vmap_error < 1e-12 and report.loop_error < 1e-6
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d(4, track_running_stats=False), nn.LayerNorm([4, 2, 2]), nn.InstanceNorm2d(4, affine=True)],
    ids=["batch norm", "layer norm", "instance norm"],
)
def test_torchs_own_norms_are_caught(norm):
    """If this fails, torch has fixed its batching rules: then our own primitives may go."""
    report = check_metagrad(net(norm), X, Y)
    assert not report.ok and report.loop_error < 1e-6 and report.vmap_error > 0.001
    assert "without any error raised" in report.message and type(norm).__name__ in report.message
    assert "use nn.GroupNorm" in str(report) and "backend='loop'" not in str(report)  # ModuleNet takes it in no backend


def test_a_norm_by_function_is_named():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(36, 4), nn.Linear(4, 3)
            self.gain, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return self.last(F.batch_norm(self.first(x.flatten(1)), None, None, self.gain, self.bias, training=True))

    report = check_metagrad(Own(), X, Y)
    assert not report.ok and "torch.nn.functional.batch_norm is the cause); use nn.GroupNorm" in report.message


def test_an_error_of_a_small_share_is_not_rounded_to_none():
    model = net(nn.LayerNorm([4, 2, 2]))
    with torch.no_grad():
        model[-1].weight.mul_(0.003)
    report = check_metagrad(model, X, Y)
    (share,) = re.findall(r"off by ([\d.e-]+)%", report.message)
    assert not report.ok and float(share) == pytest.approx(100 * report.vmap_error, rel=0.06) and float(share) < 0.05


def test_moving_averages_are_named():
    report = check_metagrad(net(nn.BatchNorm2d(4)), X, Y)
    assert not report.ok and "BatchNorm2d 1 changes its moving averages in place; use nn.GroupNorm" in report.message
    assert "track_running_stats" not in report.message  # without them it would be wrong under vmap
    report = check_metagrad(net(nn.BatchNorm2d(4).eval()), X, Y)
    assert "moving averages" not in report.message


def test_what_only_vmap_cannot_run_is_told_apart():
    report = check_metagrad(nn.Sequential(nn.Flatten(1, 2), Recurrent()), X, Y)
    assert not report.ok and report.loop_error < 1e-5 and report.vmap_error == float("inf")
    assert "a loop over tasks is right, but vmap cannot run the model" in report.message
    assert "use backend='loop'" in report.message


def test_attention_wants_the_kernel_with_second_derivatives():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))

    report = check_metagrad(Attending(), X[:, 0], Y)
    assert not report.ok and "the attention has no second derivative" in report.message
    assert "SDPBackend.MATH" in report.message and "track_running_stats" not in report.message
    with sdpa_kernel(SDPBackend.MATH):
        assert check_metagrad(Attending(), X[:, 0], Y).ok


def test_what_changes_in_place_is_told_by_its_own_remedy():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, x):
            out = self.net(x)
            self.mean += out.mean()
            return out

    report = check_metagrad(Counting(), X, Y)
    assert not report.ok and "the model changes in place when called" in report.message
    assert "track_running_stats" not in report.message


def test_dropout_is_no_function_but_in_eval():
    report = check_metagrad(net(nn.Dropout(0.5)), X, Y)
    assert not report.ok and "the model is random: it calls torch.nn.functional.dropout" in report.message
    assert check_metagrad(net(nn.Dropout(0.5)).eval(), X, Y).ok  # as ModuleNet wants it


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_is_no_agreement(bad):
    with pytest.raises(NonFiniteError, match="x has NaN or infinity; remove"):
        check_metagrad(net(), X * bad, Y)
    model = net()
    with torch.no_grad():
        model[-1].bias[0] = bad
    with pytest.raises(NonFiniteError, match="the model's outputs for x have NaN or infinity"):
        check_metagrad(model, X, Y)


def test_a_gradient_of_nan_is_no_agreement():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(36, 3)

        def forward(self, x):
            return self.head(x.flatten(1)) + (0 * self.head.weight).sum().sqrt()  # d sqrt(0) is inf, times 0

    report = check_metagrad(Root(), X, Y)
    assert not report.ok and "the meta-gradient has NaN or infinity after 2 inner steps" in report.message
    report = check_metagrad(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), X, Y, inner_lr=1e308)
    assert not report.ok and "lower inner_lr=1e+308" in report.message


def test_arrays_whole_numbers_and_regressions_are_checked():
    assert check_metagrad(net(), X.numpy(), Y.numpy()).ok
    assert check_metagrad(net(), X.numpy().tolist(), Y.tolist()).ok
    assert check_metagrad(net(), (X.numpy() * 50).astype(np.uint8), Y.numpy()).ok
    words = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 3))
    assert check_metagrad(words, np.arange(18).reshape(6, 3) % 10, Y).ok
    assert check_metagrad(net(), X, np.random.default_rng(0).normal(size=(6, 3))).ok
    report = check_metagrad(net(nn.LayerNorm([4, 2, 2])), X, torch.randn(6, 3))
    assert not report.ok and report.loop_error < 1e-6 and report.vmap_error > 0.001


@pytest.mark.parametrize(
    "model, x, y, message",
    [
        (nn.Flatten(), X, Y, "the model has no parameters"),
        (net(), X, Y[:-1], r"y has the shape \(5,\), which must be \(6,\); give one label an input"),
        (net(), X, Y[:1], r"y has the shape \(1,\), which must be \(6,\)"),
        (net(), X, Y.float(), r"y is torch\.float32 of shape \(6,\), which must be targets.*\(6, 3\) or whole-number"),
        (
            net(),
            X,
            Y + 1,
            "y has labels from 1 to 3, but the model has 3 outputs, which must be one for each of 0 to 3",
        ),
        (net(), X, Y - 1, "y has labels from -1 to 1"),
        (net(), X[..., :3], Y, r"does not take x of shape \(6, 1, 6, 3\) in torch\.float64 \(.*; give inputs"),
        (net(), torch.ones(6, 1, 6, 6).long(), Y, r"in torch\.int64 .*and x\.float\(\) where it takes no whole"),
        (nn.Conv2d(1, 3, 3), X, Y, r"the model gives \(6, 3, 4, 4\) for 6 inputs, it must give \(6, outputs\)"),
        (nn.LSTM(6, 3), X[:, 0], Y, "the model gives a tuple for 6 inputs"),
        (net(), [["a"]], Y, "x is no tensor or array of numbers"),
        (net(), X[:0], Y, r"x has the shape \(0, 1, 6, 6\), which must be \(N, \.\.\.\); give a few"),
    ],
)
def test_what_is_no_task_for_the_model_is_a_sentence(model, x, y, message):
    with pytest.raises(UserError, match=message):
        check_metagrad(model, x, y)
