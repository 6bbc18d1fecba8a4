"""Every way to compute a meta-gradient gives the same, to 1e-12 in float64, and equals finite differences."""

import pytest
import torch

from metarl.errors import SettingError
from metarl.fewshot.methods.anil import ANILConfig, HeadDescent, HeadGradient, anil
from metarl.fewshot.methods.gradient import GradientDescent, MetaGradient, TaskLoss, choose_backend
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.nets import conv4 as conv4_file
from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.conv4 import FEW_CHANNELS, Conv4
from metarl.fewshot.nets.mlp import MLP
from metarl.fewshot.nets.with_head import HEAD, WithHead
from metarl.learn import params as P
from metarl.learn.step_sizes import FixedStepSizes, LearnedStepSizes
from metarl.seeding import torch_rng
from tests.fewshot.problems import batch_of, image_source

B, WAYS, SHOTS = 3, 3, 2


HEAD_ONLY = FixedStepSizes(inner_lr=0.3, only=HEAD)


def conv(norm, pool="stride"):
    return WithHead(Conv4((1, 8, 8), 4, pool, norm=norm, layers=2), WAYS)


def dense(norm):
    return WithHead(MLP(5, (6, 4), norm=norm), WAYS)


def sets(net, seed=0):
    """Support and query of B tasks in float64."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(WAYS).repeat(SHOTS).expand(B, -1)
    return tuple(
        {"x": torch.randn(B, WAYS * SHOTS, *net.input_shape, generator=rng, dtype=torch.float64), "y": y}
        for _ in range(2)
    )


def meta_gradient(net, backend, *, first_order=False, steps=2, sizes=None, query_statistics="query"):
    config = MAMLConfig(inner_steps=steps, inner_lr=0.3, query_statistics=query_statistics)
    step_sizes = sizes or FixedStepSizes(inner_lr=0.3)
    weights = {n: p.double() + 0.05 for n, p in net.init(torch_rng((1,))).items()}
    theta = weights | step_sizes.init(weights)
    loop = GradientDescent(
        loss=TaskLoss(net=net, regression=False),
        step_sizes=step_sizes,
        weight_names=tuple(weights),
        backend=backend,
        first_order=first_order,
    )
    meta = MetaGradient(loop, config)
    return theta, meta, meta(theta, *sets(net))[0]


NETS = {
    "conv batch": conv("batch"),
    "conv batch, max-pool": conv("batch", "max"),
    "conv layer": conv("layer"),
    "conv plain": conv("none"),
    "dense batch": dense("batch"),
    "dense layer": dense("layer"),
    "dense plain": dense("none"),
    "beside input": WithHead(BesideInput(5, 4, 1.6), WAYS),
}


@pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
@pytest.mark.parametrize("first_order", [False, True])
def test_vmap_equals_the_loop(net, first_order):
    _, _, loop = meta_gradient(net, "loop", first_order=first_order)
    _, _, vmap = meta_gradient(net, "vmap", first_order=first_order)
    for name in loop:
        torch.testing.assert_close(vmap[name], loop[name], atol=1e-12, rtol=0)
    assert P.flatten(loop).abs().max() > 1e-3


BATCHED = ["dense plain", "beside input", "conv batch", "conv batch, max-pool", "conv plain"]


@pytest.mark.parametrize("name", BATCHED)
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("sizes", [None, LearnedStepSizes(inner_lr=0.2)], ids=["fixed", "learned"])
def test_hand_batched_equals_the_loop(name, first_order, sizes):
    net = NETS[name]
    _, _, loop = meta_gradient(net, "loop", first_order=first_order, sizes=sizes)
    _, _, batched = meta_gradient(net, "batched", first_order=first_order, sizes=sizes)
    for key in loop:
        torch.testing.assert_close(batched[key], loop[key], atol=1e-12, rtol=0)


@pytest.mark.parametrize("pool", ["stride", "max"])
@pytest.mark.parametrize("backend", ["loop", "vmap", "batched"])
def test_a_first_layer_normalised_by_its_filters_has_the_same_meta_gradient(monkeypatch, pool, backend):
    """Its statistics come from patches; without the trick they come from its outputs."""
    net, gradients = conv("batch", pool), []
    for channels in (FEW_CHANNELS, 0):
        monkeypatch.setattr(conv4_file, "FEW_CHANNELS", channels)
        gradients.append(P.flatten(meta_gradient(net, backend)[2]))
    torch.testing.assert_close(*gradients, atol=1e-11, rtol=0)
    assert gradients[0].abs().max() > 1e-3


def test_statistics_of_stacked_params_are_each_tasks_own():
    net = NETS["conv batch"]
    weights = {n: p.double() for n, p in net.init(torch_rng((1,))).items()}
    stacked = {n: torch.stack([p, 2 * p + 0.1, -p]) for n, p in weights.items()}
    support, query = sets(net)
    used = net.apply(stacked, support["x"])[1]
    given = {name: s.squeeze(1) for name, s in used.items()}
    outputs = net.apply(stacked, query["x"], statistics=given)[0]
    for i, params in enumerate(P.unstack(stacked)):
        own = net.apply(params, support["x"][i])[1]
        for name, s in own.items():
            torch.testing.assert_close(used[name][i], s, atol=1e-12, rtol=0)
        expected = net.apply(params, query["x"][i], statistics=own)[0]
        torch.testing.assert_close(outputs[i], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
def test_support_statistics_for_the_query_set_are_differentiated_too(net):
    _, _, loop = meta_gradient(net, "loop", query_statistics="support")
    _, _, vmap = meta_gradient(net, "vmap", query_statistics="support")
    for name in loop:
        torch.testing.assert_close(vmap[name], loop[name], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["conv batch", "dense layer", "beside input"])
@pytest.mark.parametrize("query_statistics", ["query", "support"])
def test_the_meta_gradient_equals_finite_differences(name, query_statistics):
    net = NETS[name]
    theta, meta, gradient = meta_gradient(net, "loop", query_statistics=query_statistics)
    vector, h, rng = P.flatten(theta), 1e-6, torch.Generator().manual_seed(3)
    support, query = sets(net)
    for _ in range(3):
        direction = torch.randn(vector.shape, generator=rng, dtype=torch.float64)
        ends = [meta(P.unflatten(vector + s * h * direction, theta), support, query)[1]["meta_loss"] for s in (1, -1)]
        assert float(P.flatten(gradient) @ direction) == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-5)


def test_the_first_order_gradient_is_another():
    _, _, second = meta_gradient(NETS["conv batch"], "loop")
    _, _, first = meta_gradient(NETS["conv batch"], "loop", first_order=True)
    assert (P.flatten(first) - P.flatten(second)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["conv batch", "dense batch", "dense plain", "beside input"])
@pytest.mark.parametrize("query_statistics", ["query", "support"])
@pytest.mark.parametrize("first_order", [False, True])
def test_anil_on_features_equals_maml_that_moves_the_head_alone(name, query_statistics, first_order):
    net = NETS[name]
    theta, _, slow = meta_gradient(
        net, "loop", sizes=HEAD_ONLY, first_order=first_order, query_statistics=query_statistics
    )
    config = ANILConfig(inner_steps=2, inner_lr=0.3, query_statistics=query_statistics, first_order=first_order)
    loop = HeadDescent(net, TaskLoss(net=net, regression=False), config, tuple(theta))
    fast, _ = HeadGradient(loop)(theta, *sets(net))
    for key in slow:
        torch.testing.assert_close(fast[key], slow[key], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["conv batch", "dense plain"])
def test_anil_adapts_as_maml_that_moves_the_head_alone(name):
    net = NETS[name]
    theta, meta, _ = meta_gradient(net, "loop", sizes=HEAD_ONLY)
    support, _ = sets(net)
    stacked = P.repeat(theta, B)
    slow = meta.descent.curve(theta, stacked, support, (0, 1, 3))
    loop = HeadDescent(net, TaskLoss(net=net, regression=False), ANILConfig(inner_lr=0.3), tuple(theta))
    for fast, expected in zip(loop.curve(theta, stacked, support, (0, 1, 3)), slow, strict=True):
        for key in expected:
            torch.testing.assert_close(fast[key], expected[key], atol=1e-12, rtol=0)


def test_anil_leaves_the_body_alone():
    source = image_source()
    learner = anil(source.spec, ANILConfig(test_steps=(2,)), generator=torch_rng((0,)))
    (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], [batch_of(source)[0].supports[0]])
    moved = {name for name, p in learner.behaviour().prior().items() if not torch.equal(p, phi[name])}
    assert moved == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    "net, device, examples, first_order, expected",
    [
        (NETS["dense plain"], "cpu", 500, False, "batched"),
        (NETS["beside input"], "cpu", 500, False, "batched"),
        (NETS["dense batch"], "cpu", 500, True, "vmap"),
        (NETS["conv batch"], "cpu", 10, False, "vmap"),
        (NETS["conv batch"], "cpu", 80, False, "vmap"),
        (NETS["conv batch"], "cpu", 1600, False, "loop"),  # of 64 pixels
        (NETS["conv batch"], "cpu", 10, True, "batched"),
        (NETS["conv batch"], "cpu", 80, True, "batched"),
        (NETS["conv layer"], "cpu", 10, True, "vmap"),
        (NETS["conv batch"], "cuda", 80, True, "vmap"),
    ],
)
def test_auto_takes_what_was_measured_fastest(net, device, examples, first_order, expected):
    kind = {"device": torch.device(device), "examples": examples, "first_order": first_order}
    assert choose_backend(net, "auto", **kind) == expected
    assert choose_backend(net, "loop", **kind) == "loop"


@pytest.mark.parametrize(
    "name, statistics, kind",
    [
        ("dense batch", "query", "MLP with norm='batch'"),
        ("dense layer", "query", "MLP with norm='layer'"),
        ("conv layer", "query", "Conv4 with norm='layer'"),
        ("conv batch", "support", "Conv4 with norm='batch', query_statistics='support'"),
    ],
)
def test_batched_is_refused_where_a_net_does_not_broadcast(name, statistics, kind):
    with pytest.raises(SettingError, match=rf"backend='batched' is for dense nets.*this is {kind}; use auto"):
        meta_gradient(NETS[name], "batched", query_statistics=statistics)
