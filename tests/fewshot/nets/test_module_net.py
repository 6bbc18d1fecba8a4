"""Modules that no method could train rightly are refused with their layer and what to do."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.methods.meta_sgd import MetaSGDConfig
from metarl.fewshot.nets.module_net import ModuleNet
from metarl.fewshot.nets.with_head import WithHead


@pytest.mark.parametrize(
    "layer, name",
    [
        (nn.BatchNorm2d(4), "BatchNorm2d"),
        (nn.LayerNorm([4, 2, 2]), "LayerNorm"),
        (nn.InstanceNorm2d(4, affine=True), "InstanceNorm2d"),
    ],
)
def test_norms_that_are_wrong_under_vmap_are_refused(layer, name):
    message = (
        rf"has nn\.{name} \(1\), whose second derivatives are wrong.*use nn\.GroupNorm.*metarl\.fewshot\.nets\.norm"
    )
    with pytest.raises(UserError, match=message):
        ModuleNet(nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), layer, nn.Flatten()), (1, 6, 6))


@pytest.mark.parametrize("layer", [nn.GroupNorm(1, 4), nn.InstanceNorm2d(4), nn.LayerNorm(2, elementwise_affine=False)])
def test_norms_that_are_right_are_taken(layer):
    assert ModuleNet(nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), layer, nn.Flatten()), (1, 6, 6)).output_dim == 16


class Shifted(nn.Module):
    """A layer, a frozen layer and a buffer."""

    def __init__(self):
        super().__init__()
        self.first, self.frozen = nn.Linear(4, 3), nn.Linear(3, 2).requires_grad_(False)
        self.register_buffer("shift", torch.arange(2.0))

    def forward(self, x):
        return self.frozen(self.first(x)) + self.shift


def test_buffers_and_frozen_weights_are_where_the_inputs_are():
    """On another device, here `meta`, whose operations refuse tensors of the CPU as a GPU's do; and back again."""
    net = ModuleNet(Shifted(), (4,))
    params, x = net.init(torch.Generator()), torch.ones(5, 4)
    on_cpu, _ = net.apply(params, x)
    elsewhere, _ = net.apply({name: p.to("meta") for name, p in params.items()}, x.to("meta"))
    assert elsewhere.device.type == "meta" and elsewhere.shape == (5, 2)
    again, _ = net.apply(params, x)
    assert torch.equal(again, on_cpu)


def test_they_get_there_inside_vmap_and_second_order_too():
    """The first call on a device may be inside transforms, and the next outside."""
    net = ModuleNet(Shifted(), (4,))
    params = {name: p.to("meta") for name, p in net.init(torch.Generator()).items()}
    x = torch.ones(3, 5, 4, device="meta")

    def loss(params, x):
        return net.apply(params, x)[0].square().mean()

    def after_a_step(params, x):
        gradient = torch.func.grad(loss)(params, x)
        return loss({name: p - 0.1 * gradient[name] for name, p in params.items()}, x)

    for _ in range(2):
        gradients = torch.func.vmap(torch.func.grad(after_a_step), in_dims=(None, 0))(params, x)
        assert {name: g.shape for name, g in gradients.items()} == {n: (3, *p.shape) for n, p in params.items()}
        assert net.apply(params, x[0])[0].device.type == "meta"


def test_active_dropout_is_refused():
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    with pytest.raises(UserError, match=r"nn\.Dropout \(1\) with p=0\.5 in training mode.*call module\.eval\(\) first"):
        ModuleNet(module, (4,))
    net, x = ModuleNet(module.eval(), (4,)), torch.ones(3, 4)
    params = net.init(torch.Generator())
    assert torch.equal(net.apply(params, x)[0], net.apply(params, x)[0])


class Calling(nn.Module):
    """Features (N, 4, 3) by a layer, a function of (features, gain, bias), and another layer."""

    def __init__(self, function, gain=4):
        super().__init__()
        self.first, self.last, self.function = nn.Linear(5, 3), nn.Linear(12, 2), function
        self.gain, self.bias = nn.Parameter(torch.ones(gain)), nn.Parameter(torch.zeros(gain))

    def forward(self, x):
        return self.last(self.function(self.first(x), self.gain, self.bias).flatten(1))


@pytest.mark.parametrize(
    "function, gain, name",
    [
        (lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True), 4, r"torch\.nn\.functional\.batch_norm"),
        (lambda x, g, b: F.layer_norm(x, (3,), g, b), 3, r"torch\.nn\.functional\.layer_norm"),
        (lambda x, g, b: torch.layer_norm(x, (3,), g, b), 3, r"torch\.layer_norm"),
        (lambda x, g, b: F.instance_norm(x, weight=g, bias=b), 4, r"torch\.nn\.functional\.instance_norm"),
        (
            lambda x, g, b: torch.native_batch_norm(x, g, b, None, None, True, 0.1, 1e-5)[0],
            4,
            r"torch\.native_batch_norm",
        ),
        (
            lambda x, g, b: torch.ops.aten.native_layer_norm.default(x, (3,), g, b, 1e-5)[0],
            3,
            r"aten\.native_layer_norm",
        ),
    ],
)
def test_norms_by_function_are_refused_as_layers_are(function, gain, name):
    """No layer shows them, and under vmap their meta-gradient is wrong all the same."""
    with pytest.raises(UserError, match=rf"calls {name}.*, whose second derivatives are wrong.*use nn\.GroupNorm"):
        ModuleNet(Calling(function, gain), (4, 5))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, g, b: F.layer_norm(x, (3,)) * g[:3],
        lambda x, g, b: F.instance_norm(x),
        lambda x, g, b: F.group_norm(x, 2, g, b),
        lambda x, g, b: F.normalize(x),
        lambda x, g, b: F.dropout(x, 0.5, training=False),
    ],
    ids=["layer norm", "instance norm", "group norm", "normalize", "dropout"],
)
def test_functions_that_are_right_are_taken(function):
    assert ModuleNet(Calling(function), (4, 5)).output_dim == 2


@pytest.mark.parametrize(
    "function, name",
    [
        (lambda x, g, b: F.dropout(x, 0.5), r"torch\.nn\.functional\.dropout"),
        (lambda x, g, b: x + torch.randn(4, 3), r"torch\.randn"),
        (nn.MultiheadAttention(3, 1, dropout=0.5, batch_first=True), "multi_head_attention_forward"),
    ],
    ids=["dropout", "noise", "attention"],
)
def test_random_draws_in_the_forward_are_refused(function, name):
    called = (lambda x, g, b: function(x, x, x)[0]) if isinstance(function, nn.Module) else function
    with pytest.raises(UserError, match=rf"calls .*{name}, which draws at random.*call module\.eval\(\) first"):
        ModuleNet(Calling(called), (4, 5))


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


class Sequence(nn.Module):
    """Class scores of sequences (N, T, 6), by a layer that gives (N, T, 6)."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(6, 3)

    def forward(self, x):
        attends = isinstance(self.layer, nn.MultiheadAttention)
        out = self.layer(x, x, x, need_weights=False)[0] if attends else self.layer(x)[0]
        return self.head(out.mean(1))


def sequences(seed):
    x = np.random.default_rng(seed).normal(size=(6, 4, 6))
    y = np.arange(6) % 3
    return x, y, x + 0.1, y


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, before it gives up
@pytest.mark.parametrize("method, config", [("maml", MAMLConfig), ("meta_sgd", MetaSGDConfig)])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_what_vmap_cannot_run_is_sent_to_the_loop(method, config, layer):
    net, tasks = ModuleNet(Sequence(layer(6, 6, batch_first=True)), (4, 6)), [sequences(0), sequences(1)]
    wanted = rf"vmap cannot run the net \(.*\), but a loop over tasks can; set backend='loop' in {config.__name__}"
    with pytest.raises(UserError, match=wanted):
        FewShotClassifier(method=method, net=net, tasks_per_update=2).fit(tasks)
    classifier = FewShotClassifier(method=method, net=net, config=config(backend="loop"), tasks_per_update=2).fit(tasks)
    assert classifier.adapt(*tasks[0][:2]).predict(tasks[0][2]).shape == (6,)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("backend", ["vmap", "loop"])
def test_attention_is_sent_to_the_kernel_with_second_derivatives(backend):
    torch.manual_seed(0)
    net = ModuleNet(Sequence(nn.MultiheadAttention(6, 2, batch_first=True)), (4, 6))
    tasks = [sequences(0), sequences(1)]

    def fit(**options):
        config = MAMLConfig(backend=backend, **options)
        return FewShotClassifier(method="maml", net=net, config=config, tasks_per_update=2, epochs=10).fit(tasks)

    with pytest.raises(UserError, match=r"attention has no second derivative.*SDPBackend\.MATH.*first_order=True"):
        fit()
    with sdpa_kernel(SDPBackend.MATH):
        second = fit().losses_
    first = fit(first_order=True).losses_
    assert first[0] == pytest.approx(second[0])
    # not sooner: Adam's first update has the signs of the meta-gradient alone, and those may be equal
    assert abs(first[-1] - second[-1]) > 0.01 * abs(second[0] - second[-1])


def test_an_error_that_no_backend_mends_stays_as_it_is():
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            if torch.is_grad_enabled():
                raise RuntimeError("of its own")
            return self.head(x.mean(1))

    with pytest.raises(RuntimeError, match=r"^of its own$"):
        FewShotClassifier(method="maml", net=ModuleNet(Failing(), (4, 6))).fit([sequences(0)])


@pytest.mark.parametrize("method", ["maml", "anil", "prototypical", "nearest_centroid"])
def test_a_bare_module_is_to_be_wrapped(method):
    module = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    for net in (module, WithHead(module, 3)):
        with pytest.raises(
            UserError, match=r"net is a torch module \(Sequential\).*give ModuleNet\(module, \(4, 6\)\)"
        ):
            FewShotClassifier(method=method, net=net).fit([sequences(0)])
