"""Modules that no method could train rightly are refused with their layer and what to do."""

import numpy as np
import pytest
import torch
from torch import nn

from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier
from metarl.fewshot.module_net import ModuleNet
from metarl.fewshot.nets import WithHead


@pytest.mark.parametrize(
    "layer, name",
    [
        (nn.BatchNorm2d(4), "BatchNorm2d"),
        (nn.LayerNorm([4, 2, 2]), "LayerNorm"),
        (nn.InstanceNorm2d(4, affine=True), "InstanceNorm2d"),
    ],
)
def test_norms_that_are_wrong_under_vmap_are_refused(layer, name):
    message = rf"has nn\.{name} \(1\), whose second derivatives are wrong.*use nn\.GroupNorm.*metarl\.fewshot\.norm"
    with pytest.raises(UserError, match=message):
        ModuleNet(nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), layer, nn.Flatten()), (1, 6, 6))


@pytest.mark.parametrize("layer", [nn.GroupNorm(1, 4), nn.InstanceNorm2d(4), nn.LayerNorm(2, elementwise_affine=False)])
def test_norms_that_are_right_are_taken(layer):
    assert ModuleNet(nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), layer, nn.Flatten()), (1, 6, 6)).output_dim == 16


def test_active_dropout_is_refused():
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    with pytest.raises(UserError, match=r"nn\.Dropout \(1\) with p=0\.5 in training mode.*call module\.eval\(\) first"):
        ModuleNet(module, (4,))
    net, x = ModuleNet(module.eval(), (4,)), torch.ones(3, 4)
    params = net.init(torch.Generator())
    assert torch.equal(net.apply(params, x)[0], net.apply(params, x)[0])


@pytest.mark.parametrize("method", ["prototypical", "maml", "anil", "reptile"])
def test_frozen_layers_stay_and_unused_ones_do_no_harm(method):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.trained, self.unused = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(2, 2)
            self.frozen.requires_grad_(False)

        def forward(self, x):
            return self.trained(torch.relu(self.frozen(x)))

    module = Own()
    net = ModuleNet(module, (4,))
    assert not any(name.startswith("frozen") for name in net.init(torch.Generator()))
    net = WithHead(net, 3) if method == "anil" else net
    x, y = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 1]], np.float32), [0, 1, 2]
    classifier = FewShotClassifier(method=method, net=net).fit([(i * x, y, i * x + 0.1, y) for i in range(1, 4)])
    theta = classifier.learner.theta
    (trained,) = [name for name in theta if name.endswith("trained.weight")]
    (unused,) = [name for name in theta if name.endswith("unused.weight")]
    assert not torch.equal(theta[trained], module.trained.weight)
    assert torch.equal(theta[unused], module.unused.weight)
    with pytest.raises(UserError, match="all of the module is frozen"):
        ModuleNet(module.requires_grad_(False), (4,))


@pytest.mark.parametrize(
    "module, input_shape, message",
    [
        (
            nn.Linear(4, 3).double(),
            (4,),
            r"module's weight is torch\.float64, inputs are torch\.float32; call module\.fl",
        ),
        (
            nn.Linear(4, 3),
            (5,),
            r"does not take 2 float32 inputs of input_shape=\(5,\) \(mat1 and mat2 .*; give the shape",
        ),
        (nn.Conv2d(3, 4, 3), (1, 8, 8), r"input_shape=\(1, 8, 8\) \(Given groups=1.*; give the shape"),
        (nn.Linear(4, 3), (1, 4), r"gives \(2, 1, 3\) for 2 inputs"),
    ],
)
def test_inputs_and_outputs_that_do_not_fit_are_named(module, input_shape, message):
    with pytest.raises(UserError, match=message):
        ModuleNet(module, input_shape)


def test_a_body_under_a_head_may_have_any_outputs():
    assert WithHead(ModuleNet(nn.Linear(4, 2), (4,)), 5).output_dim == 5
