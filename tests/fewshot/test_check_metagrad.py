"""The check that users run on their own net finds what torch gets wrong, and says it in a sentence."""

import pytest
import torch
from torch import nn

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
    """If this fails, torch has mended its batching rules: then our own primitives may go."""
    report = check_metagrad(net(norm), X, Y)
    assert not report.ok and report.loop_error < 1e-6 and report.vmap_error > 0.001
    assert "without any error raised" in report.message and type(norm).__name__ in report.message
    assert "use metarl.fewshot.norm" in str(report)


def test_running_statistics_are_named():
    report = check_metagrad(net(nn.BatchNorm2d(4)), X, Y)
    assert not report.ok and "torch.func cannot run the model" in report.message
    assert "track_running_stats=False" in report.message


def test_what_only_vmap_cannot_run_is_told_apart():
    report = check_metagrad(nn.Sequential(nn.Flatten(1, 2), Recurrent()), X, Y)
    assert not report.ok and report.loop_error < 1e-5 and report.vmap_error == float("inf")
    assert "a loop over tasks is right, but vmap cannot run the model" in report.message


def test_dropout_is_no_function():
    report = check_metagrad(net(nn.Dropout(0.5)), X, Y)
    assert not report.ok and "the model is random (dropout)" in report.message
