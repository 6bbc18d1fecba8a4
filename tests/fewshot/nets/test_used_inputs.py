"""Adapting on a task's own inputs alone gives the phi that all inputs give."""

import pytest
import torch

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples
from metarl.fewshot.methods import fast_weights, gradient
from metarl.fewshot.methods import reptile as reptile_module
from metarl.fewshot.methods.maml import MAMLConfig, maml
from metarl.fewshot.methods.meta_sgd import MetaSGDConfig, meta_sgd
from metarl.fewshot.methods.reptile import ReptileConfig, reptile
from metarl.fewshot.nets.make import NetConfig, make_net
from metarl.fewshot.nets.used_inputs import UsedInputs, used_inputs
from metarl.fewshot.nets.with_head import WithHead
from metarl.seeding import torch_rng
from metarl.types import Task, TaskData
from tests.fewshot.nets.test_beside_input import sparse_rows

WAYS, INPUTS, PROJECTION = 3, 200, 8
NET = NetConfig(keep_input=True, projection=PROJECTION, scale=3.0)
METHODS = {
    "maml": (maml, MAMLConfig(net=NET, inner_lr=0.3, test_steps=(0, 1, 4))),
    "meta_sgd": (meta_sgd, MetaSGDConfig(net=NET, inner_lr=0.3, test_steps=(1, 4))),
    "reptile": (reptile, ReptileConfig(net=NET, inner_lr=0.01, test_steps=(2, 7), meta_lr_iterations=10)),
}


def support(seed, shots=2):
    return Examples(sparse_rows(WAYS * shots, INPUTS, seed=seed), torch.arange(WAYS).repeat_interleave(shots))


def learner_of(method):
    """After three meta-updates, so that step sizes and the inner optimizer's moments differ from input to input."""
    build, config = METHODS[method]
    spec = DataSpec(input_shape=(INPUTS,), outputs=WAYS, regression=False)
    learner = build(spec, config, generator=torch_rng((0,)))
    for seed in (1, 2, 3):
        task = Task("made-up", {})
        learner.meta_update([TaskData(task, (support(10 * seed + i),), support(10 * seed + i + 5)) for i in range(2)])
    return learner


@pytest.fixture
def on_all_inputs(monkeypatch):
    """Switches the narrowing off."""

    def switch():
        for module in (fast_weights, gradient, reptile_module):
            monkeypatch.setattr(module, "skips_zeros", lambda net: False)

    return switch


@pytest.mark.parametrize("method", METHODS)
def test_meta_updates_are_the_same_as_on_all_inputs(method, on_all_inputs):
    few = learner_of(method)
    on_all_inputs()
    full = learner_of(method)
    assert list(few.theta) == list(full.theta)
    for name, p in full.theta.items():
        torch.testing.assert_close(few.theta[name], p, atol=1e-5, rtol=1e-5)
    moments = few.outer_step.state_dict().get("moments", {})  # of Reptile's inner optimizer
    for name, m in full.outer_step.state_dict().get("moments", {}).items():
        torch.testing.assert_close(moments[name], m, atol=1e-9, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_phi_is_the_same_as_on_all_inputs(method, on_all_inputs):
    learner = learner_of(method)
    supports = [support(30), support(31)]
    few = learner.behaviour().adapt_curve(supports)
    answers = learner.behaviour().predict(few[max(few)], [s.x for s in supports])
    on_all_inputs()
    full = learner.behaviour().adapt_curve(supports)
    for answer, expected in zip(
        answers, learner.behaviour().predict(full[max(full)], [s.x for s in supports]), strict=True
    ):
        torch.testing.assert_close(answer, expected, atol=1e-3, rtol=1e-3)
    assert list(few) == list(full)
    for steps, phis in full.items():
        for task, phi in enumerate(phis):
            torch.testing.assert_close(few[steps][task], phi, atol=1e-4, rtol=1e-4)
    last = max(few)
    moved = (few[last][0]["projection"] != learner.theta["projection"]).any(-1)
    assert moved.any() and not moved.all()


def test_used_inputs_are_those_of_any_example():
    x = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, -2.0]])
    net = WithHead(make_net((4,), NetConfig(keep_input=True, projection=2)), 3)
    used = used_inputs(net, x)
    assert used.columns.tolist() == [1, 3] and used.net.input_shape == (2,)
    params = net.init(torch_rng((0,)))
    part = used.take(params)
    torch.testing.assert_close(part["head.weight"], params["head.weight"][[1, 3, 4, 5]])
    torch.testing.assert_close(part["projection"], params["projection"][[1, 3]])
    outputs, _ = used.net.apply(part, x[:, [1, 3]])
    torch.testing.assert_close(outputs, net.apply(params, x)[0])


def test_what_is_put_back_leaves_the_other_inputs_alone():
    net = make_net((4,), NetConfig(keep_input=True, projection=2))
    used, params = used_inputs(net, torch.tensor([[0.0, 1.0, 0.0, 5.0]])), net.init(torch_rng((0,)))
    back = used.put({name: p + 1 for name, p in used.take(params).items()}, params)
    assert (back["projection"] - params["projection"]).tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]
    assert back["gain"].tolist() == [1, 2, 1, 2]
    torch.testing.assert_close(back["scale"], params["scale"] + 1)


def test_step_sizes_go_with_their_weights():
    used = UsedInputs(make_net((2,), NET), torch.tensor([1]), {"gain": (-1, torch.tensor([1]))})
    part = used.take({"gain": torch.arange(2.0), "step_size_gain": torch.arange(2.0, 4.0)})
    assert part["gain"].tolist() == [1] and part["step_size_gain"].tolist() == [3]


def test_a_support_set_of_nothing_but_zeros_leaves_the_projection_as_it_is():
    learner = learner_of("maml")
    phi = learner.behaviour().adapt(
        [learner.behaviour().prior()], [Examples(torch.zeros(WAYS, INPUTS), torch.arange(WAYS))]
    )[0]
    torch.testing.assert_close(phi["projection"], learner.theta["projection"], atol=0, rtol=0)
    assert all(bool(torch.isfinite(p).all()) for p in phi.values())
