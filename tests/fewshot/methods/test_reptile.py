"""Reptile's inner optimizer, mini-batches and meta-step, by hand."""

import dataclasses

import pytest
import torch

from metarl.errors import SettingError
from metarl.fewshot.methods.anil import ANILConfig
from metarl.fewshot.methods.gradient import TaskLoss
from metarl.fewshot.methods.reptile import BETA2, EPS, ReptileConfig, ReptileLoop, minibatches, take_rows
from metarl.fewshot.nets.make import NetConfig
from metarl.fewshot.nets.mlp import MLP
from metarl.fewshot.nets.with_head import WithHead
from metarl.learn import params as P
from metarl.learn.gradient_learner import MetaBatch
from metarl.seeding import torch_rng

NET = WithHead(MLP(3, (4,)), 2)
LOSS = TaskLoss(net=NET, regression=False)


def data(tasks=2, shots=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(2).repeat_interleave(shots).expand(tasks, -1)
    return {"x": torch.randn(tasks, 2 * shots, 3, generator=rng), "y": y}


def test_minibatches_take_the_classes_in_turn_and_go_round():
    y = torch.tensor([[0, 0, 0, 1, 1, 1]])
    rows = minibatches(y, 4)
    assert rows.tolist() == [[[0, 3, 1, 4], [2, 5, 0, 3], [1, 4, 2, 5]]]
    assert minibatches(y, 10).tolist() == [[[0, 3, 1, 4, 2, 5]]]
    assert take_rows(y, rows[:, 0]).tolist() == [[0, 1, 0, 1]]


def test_an_inner_step_is_adam_without_momentum_and_the_meta_step_goes_part_of_the_way():
    config = ReptileConfig(inner_steps=2, inner_batch=100, inner_lr=0.01, meta_lr=0.5, meta_lr_iterations=10)
    theta = NET.init(torch_rng((0,)))
    loop, support, query = ReptileLoop(LOSS, config, theta), data(), data(seed=1)
    new, metrics = loop.step(MetaBatch(supports=[support], query=query), theta)
    phis, moments = [], []
    for t in range(2):
        x, y = (torch.cat([support[name][t], query[name][t]]) for name in "xy")
        phi, v = dict(theta), {name: torch.zeros_like(p) for name, p in theta.items()}
        for step in (1, 2):
            leaves = P.trainable(phi)
            loss = torch.nn.functional.cross_entropy(NET.apply(leaves, x)[0], y)
            grads = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
            v = {n: BETA2 * v[n] + (1 - BETA2) * g**2 for n, g in grads.items()}
            phi = {n: p - 0.01 * grads[n] / ((v[n] / (1 - BETA2**step)).sqrt() + EPS) for n, p in phi.items()}
        phis.append(phi)
        moments.append(v)
    for name, p in theta.items():
        torch.testing.assert_close(new[name], p + 0.5 * ((phis[0][name] + phis[1][name]) / 2 - p), atol=1e-6, rtol=1e-4)
        stored = loop.state_dict()["moments"][name]
        torch.testing.assert_close(stored, (moments[0][name] + moments[1][name]) / 2, atol=1e-8, rtol=1e-4)
    assert metrics["meta_step_accepted"] == 1


def test_the_meta_step_size_falls_linearly_to_nothing():
    config = ReptileConfig(inner_steps=1, meta_lr_iterations=2)
    theta = NET.init(torch_rng((0,)))
    loop, norms = ReptileLoop(LOSS, config, theta), []
    for _ in range(3):
        new, metrics = loop.step(MetaBatch(supports=[data()], query=data(seed=1)), theta)
        norms.append(metrics["grad_norm"])
    # theta is the same each time, but the second moments settle: so only the size is compared
    assert norms[1] == pytest.approx(norms[0] / 2, rel=0.3) and norms[2] < 1e-6
    assert P.flatten(new).isfinite().all()


@pytest.mark.parametrize("backend", ["vmap", "loop", "batched"])
def test_backends_agree(backend):
    config = ReptileConfig(inner_steps=3, inner_batch=4)
    theta = {name: p.double() for name, p in NET.init(torch_rng((0,))).items()}
    support, query = ({"x": e["x"].double(), "y": e["y"]} for e in (data(), data(seed=1)))
    batch = MetaBatch(supports=[support], query=query)
    results = [
        ReptileLoop(LOSS, dataclasses.replace(config, backend=b), theta).step(batch, theta)[0]
        for b in ("loop", backend)
    ]
    for name in theta:
        torch.testing.assert_close(results[0][name], results[1][name], atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "config, setting",
    [
        (ReptileConfig, {"lr": 0.1}),
        (ReptileConfig, {"max_grad_norm": 1.0}),
        (ReptileConfig, {"query_statistics": "support"}),
        (ANILConfig, {"backend": "loop"}),
        (NetConfig, {"hidden": ()}),
    ],
)
def test_settings_without_effect_or_sense_are_refused(config, setting):
    (name,) = setting
    with pytest.raises(SettingError, match=rf"^{name}=.*(has no effect here, for|leaves an MLP no layer)"):
        config(**setting)
