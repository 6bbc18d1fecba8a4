"""The net that keeps its input: by hand, at its start, and as the first inner step sees it."""

import pytest
import torch

from metarl.errors import UserError
from metarl.fewshot.methods.gradient import GradientDescent, TaskLoss
from metarl.fewshot.methods.metric import class_means
from metarl.fewshot.methods.prototypical import squared_distances
from metarl.fewshot.nets.beside_input import BesideInput
from metarl.fewshot.nets.make import NetConfig, make_net
from metarl.fewshot.nets.with_head import WithHead
from metarl.learn.params import stack
from metarl.learn.step_sizes import FixedStepSizes
from metarl.seeding import torch_rng


def sparse_rows(n, dim, seed=0):
    """Unit rows with a tenth of their entries positive, the others 0: like TF-IDF."""
    rng = torch.Generator().manual_seed(seed)
    rows = torch.rand(n, dim, generator=rng) * (torch.rand(n, dim, generator=rng) < 0.1)
    return rows / rows.norm(dim=-1, keepdim=True)


def test_features_by_hand():
    """The gain (1, 2) makes (3, 4) of (3, 2): unit (0.6, 0.8); times A = (1, -2) it is -5, so unit -1."""
    params = {
        "gain": torch.tensor([1.0, 2.0]),
        "projection": torch.tensor([[1.0], [-2.0]]),
        "scale": torch.tensor([10.0]),
    }
    features, statistics = BesideInput(2, 1, 10.0).apply(params, torch.tensor([[3.0, 2.0]]))
    torch.testing.assert_close(features, torch.tensor([[6.0, 8.0, -10.0]]))
    assert statistics == {}


def test_it_starts_with_the_cosines_of_its_inputs():
    """The first part has them exactly, the second within a few times 1 / sqrt(projection)."""
    net, x = BesideInput(300, 4000, 1.6), sparse_rows(20, 300)
    features, _ = net.apply(net.init(torch_rng((0,))), x)
    kept, projected = features[:, :300] / 1.6, features[:, 300:] / 1.6
    torch.testing.assert_close(kept @ kept.T, x @ x.T)
    assert (projected @ projected.T - x @ x.T).abs().max() < 5 / 4000**0.5


def test_squared_distances_are_four_scale_squared_times_the_cosine():
    """-|f - g|^2 of one query to two classes differ by 4 * 2.5 * the difference of their mean cosines."""
    net, x = BesideInput(300, 64, 2.5**0.5), sparse_rows(3, 300)
    features, _ = net.apply(net.init(torch_rng((0,))), x)
    mean_cosines = features @ features.T / (2 * 2.5)
    distances = squared_distances(features[None], features[None])[0]
    expected = 10 * (mean_cosines[0, 1] - mean_cosines[0, 2])
    torch.testing.assert_close(distances[0, 2] - distances[0, 1], expected, atol=1e-4, rtol=1e-4)


def test_all_of_it_learns():
    net = BesideInput(30, 8, 1.6)
    leaves = {name: p.requires_grad_() for name, p in net.init(torch_rng((0,))).items()}
    features, _ = net.apply(leaves, sparse_rows(4, 30))
    grads = torch.autograd.grad((features[0] - features[1]).square().sum(), list(leaves.values()))
    assert all(g.abs().max() > 1e-3 for g in grads)


def test_a_row_of_zeros_stays_one_and_its_derivatives_are_finite():
    net = BesideInput(5, 4, 1.6)
    leaves = {name: p.double().requires_grad_() for name, p in net.init(torch_rng((0,))).items()}
    features, _ = net.apply(leaves, torch.zeros(1, 5, dtype=torch.float64))
    assert features.abs().max() == 0
    grads = torch.autograd.grad((features - 1).square().sum(), list(leaves.values()), create_graph=True)
    squares = torch.stack([g.square().sum() for g in grads]).sum()
    again = torch.autograd.grad(squares, list(leaves.values()), allow_unused=True)
    assert all(torch.isfinite(g).all() for g in (*grads, *again) if g is not None)


def test_stacked_params_serve_each_task_its_own():
    net, x = BesideInput(30, 8, 1.6), torch.stack([sparse_rows(4, 30, seed=s) for s in range(3)])
    own = [{name: (1 + i) * p for name, p in net.init(torch_rng((i,))).items()} for i in range(3)]
    together, _ = net.apply(stack(own), x)
    torch.testing.assert_close(together, torch.stack([net.apply(p, rows)[0] for p, rows in zip(own, x, strict=True)]))


def test_one_inner_step_of_a_head_from_zero_compares_with_class_means():
    """W = a/N sum_i f_i (onehot_i - 1/ways), so scores are a/ways (f . mean_c - the mean over classes of that)."""
    net = WithHead(BesideInput(300, 16, 1.6), 4, from_zero=True)
    theta, x, y = net.init(torch_rng((0,))), sparse_rows(11, 300), torch.arange(4).repeat(2)
    descent = GradientDescent(
        loss=TaskLoss(net=net, regression=False),
        step_sizes=FixedStepSizes(inner_lr=0.5),
        weight_names=tuple(theta),
        backend="auto",
        first_order=False,
    )
    support = {"x": x[None, :8], "y": y[None]}
    phi = descent.inner_loop(support, "batched").path(theta, [support])[-1]
    scores, _ = net.apply(phi, x[None, 8:])
    features, _ = net.body.apply(theta, x)
    similar = features[8:] @ class_means(features[None, :8], y[None], 4)[0].T
    torch.testing.assert_close(scores[0], 0.5 / 4 * (similar - similar.mean(1, keepdim=True)), atol=1e-5, rtol=1e-4)


def test_images_are_refused_by_name():
    with pytest.raises(UserError, match=r"keep_input=True is for vectors \(D,\), but .* \(1, 28, 28\); leave it out"):
        make_net((1, 28, 28), NetConfig(keep_input=True))
    assert make_net((7,), NetConfig(keep_input=True, projection=3)).output_dim == 10


@pytest.mark.parametrize("field, value", [("projection", 0), ("scale", 0.0)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        NetConfig(**{field: value})
