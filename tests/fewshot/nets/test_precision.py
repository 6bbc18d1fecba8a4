"""bfloat16 in meta-training: the same gradient but for rounding, and float32 wherever a number is reported."""

from dataclasses import replace
from typing import Literal

import pytest
import torch

from metarl.errors import UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples
from metarl.fewshot.methods.metric import MetricLearner
from metarl.fewshot.methods.prototypical import PrototypicalConfig, prototypical
from metarl.fewshot.nets.conv4 import Conv4
from metarl.fewshot.nets.make import NetConfig, make_net
from metarl.fewshot.registry import METHODS
from metarl.learn.params import gradient, trainable
from metarl.types import Task, TaskData

SHAPE = (1, 16, 16)


def images(n: int) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1)).round()


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("pool", ["max", "stride"])
def test_gradient_and_features_are_those_of_float32_but_for_rounding(pool, norm) -> None:
    nets = [Conv4(SHAPE, filters=16, pool=pool, norm=norm, fused=True, precision=p) for p in ("float32", "bfloat16")]
    theta = trainable(nets[0].init(torch.Generator().manual_seed(0)))
    results = []
    for net in nets:
        features, statistics = net.apply(theta, images(40))
        assert {features.dtype} | {s.dtype for s in statistics.values()} == {torch.float32}
        results.append((features.detach(), gradient((features * torch.linspace(-1, 1, 16)).sum(), theta), statistics))
    (exact, exact_grads, exact_stats), (rounded, rounded_grads, rounded_stats) = results
    assert 0 < (exact - rounded).norm() < 0.03 * exact.norm()
    for name, grad in exact_grads.items():
        assert torch.cosine_similarity(grad.flatten(), rounded_grads[name].flatten(), dim=0) > 0.95, name
    for name, s in exact_stats.items():
        torch.testing.assert_close(rounded_stats[name], s, rtol=0.05, atol=0.01)


def learner_in(precision: Literal["float32", "bfloat16"]) -> MetricLearner:
    config = PrototypicalConfig(net=NetConfig(filters=8, layers=2, pool="max", precision=precision), lr=1e-2)
    return prototypical(DataSpec(SHAPE, 2), config, generator=torch.Generator().manual_seed(0))


def support() -> Examples:
    return Examples(images(6), torch.arange(2).repeat_interleave(3))


def mirrored() -> Examples:
    return Examples(support().x.flip(-1), support().y)


@pytest.mark.parametrize("mode", ["inductive", "single", "transductive"])
def test_held_out_tasks_are_scored_in_float32(mode) -> None:
    agents = [learner_in("float32").behaviour(), learner_in("bfloat16").behaviour()]
    scores = [agent.predict(agent.adapt([{}], [support()]), [mirrored().x], mode=mode)[0] for agent in agents]
    assert torch.equal(*scores)


def test_a_learner_trains_in_it_and_keeps_float32_parameters() -> None:
    learner = learner_in("bfloat16")
    before = dict(learner.theta)
    batch = [TaskData(Task("mirrored", {}), (support(),), mirrored())]
    losses = [learner.meta_update(batch)["meta_loss"] for _ in range(20)]
    first_in_float32 = learner_in("float32").meta_update(batch)["meta_loss"]
    assert losses[0] != first_in_float32 and losses[0] == pytest.approx(first_in_float32, rel=0.05)
    assert losses[-1] < 0.5 * losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in learner.theta.items())
    assert {p.dtype for p in learner.theta.values()} == {torch.float32}


@pytest.mark.parametrize("method", ["maml", "anil", "meta_sgd", "reptile"])
def test_methods_with_an_inner_loop_are_refused(method) -> None:
    config = replace(METHODS[method].config, net=NetConfig(precision="bfloat16"))
    with pytest.raises(UserError, match=r"precision='bfloat16' is for metric methods .* use float32"):
        METHODS[method].make(DataSpec(SHAPE, 5), torch.Generator(), config=config)


def test_vectors_are_refused() -> None:
    with pytest.raises(UserError, match="on images; use float32"):
        make_net((16,), NetConfig(precision="bfloat16"), fused=True)
