"""The inner loop against derivations on paper, finite differences, and its own Python loop."""

import pytest
import torch

from metarl.learn.inner_loop import adapt, adapt_tasks, differentiable, inner_step, once
from metarl.learn.params import flatten, repeat, stack, trainable, unflatten
from metarl.rl.losses import policy_gradient_loss, surrogate_loss
from metarl.rl.policies import CategoricalMLP, GaussianMLP
from tests.learn.policy_batch import policy_batch

B, M, D, A = 4, 11, 3, 2  # tasks, steps of a task, observation size, action size
LR = 0.05


def quadratic(params, target):
    """f = (w - a)^2 / 2."""
    return 0.5 * (params["w"] - target).square()


@pytest.mark.parametrize(
    "inner_steps, first_order, factor",
    [(1, False, 0.75), (1, True, 1.0), (2, False, 0.75**2), (2, True, 1.0)],
)
def test_meta_gradient_matches_hand_derivation(inner_steps, first_order, factor):
    """w_k = a + (1-lr)^k (w-a), g = (w_k-b)^2/2  =>  dg/dw = (1-lr)^k (w_k-b); first order drops (1-lr)^k."""
    theta = {"w": torch.tensor(3.0, requires_grad=True)}
    supports = [torch.tensor(1.0)] * inner_steps
    phi = adapt(quadratic, theta, supports, inner_lr=0.25, first_order=first_order)
    adapted = 1.0 + 0.75**inner_steps * 2.0
    torch.testing.assert_close(phi["w"], torch.tensor(adapted))
    (grad,) = torch.autograd.grad(quadratic(phi, torch.tensor(-2.0)), theta["w"])
    torch.testing.assert_close(grad, torch.tensor(factor * (adapted + 2.0)))


def test_each_step_uses_its_own_support():
    """w1 = w - lr (w-a), w2 = w1 - lr (w1-b)."""
    theta = {"w": torch.tensor(3.0)}
    phi = adapt(quadratic, theta, [torch.tensor(1.0), torch.tensor(-1.0)], inner_lr=0.25)
    torch.testing.assert_close(phi["w"], torch.tensor(2.5 - 0.25 * 3.5))
    assert theta["w"] == 3.0


def test_inner_lr_per_parameter_is_learnable():
    """phi = w - lr (w-a)  =>  d/dlr (phi-b)^2/2 = -(w-a)(phi-b) (Meta-SGD)."""
    lr = {"w": torch.tensor(0.25, requires_grad=True)}
    phi = inner_step(quadratic, {"w": torch.tensor(3.0)}, torch.tensor(1.0), inner_lr=lr)
    (grad,) = torch.autograd.grad(quadratic(phi, torch.tensor(-2.0)), lr["w"])
    torch.testing.assert_close(grad, torch.tensor(-2.0 * 4.5))


def test_a_parameter_without_a_step_size_stays_as_it_is():
    """f = (v w - a)^2 / 2: only w moves, by lr (v w - a) v, and the gradient in v still goes through w's step."""
    v, w = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0)
    phi = inner_step(
        lambda p, a: 0.5 * (p["v"] * p["w"] - a).square(), {"v": v, "w": w}, 1.0, inner_lr={"w": torch.tensor(0.25)}
    )
    torch.testing.assert_close(phi["w"], torch.tensor(3.0 - 0.25 * 5 * 2))
    assert phi["v"] is v
    (grad,) = torch.autograd.grad(phi["w"], v)  # d/dv of w - lr (v w - a) v = -lr (2 v w - a)
    torch.testing.assert_close(grad, torch.tensor(-0.25 * 11))


def gaussian_problem(inner_steps):
    policy = GaussianMLP(D, A, hidden=(6, 5))
    return policy, make_batches(policy, inner_steps)


def make_batches(policy, inner_steps, *, seed=0):
    """Support sets and a query set of B tasks in float64, a part of the steps masked."""
    rng = torch.Generator().manual_seed(seed)

    def batch():
        return policy_batch(rng, shape=(B, M), obs_dim=D, action_dim=A, discrete=policy.discrete)

    return [batch() for _ in range(inner_steps)], batch()


def make_theta(policy, seed=1):
    """A theta of float64 in which nothing is zero."""
    rng = torch.Generator().manual_seed(seed)
    init = policy.init(rng)
    return {
        name: p.double() + 0.3 * torch.randn(p.shape, generator=rng, dtype=torch.float64) for name, p in init.items()
    }


def loss_of(policy):
    def loss(params, batch):
        log_probs = policy.dist(params, batch["obs"]).log_prob(batch["actions"])
        return policy_gradient_loss(log_probs, batch["advantages"], batch["mask"])

    return loss


def meta_loss(policy, theta, supports, query, **options):
    """Mean over tasks of the surrogate at phi(theta); old log-probs are those of phi itself, detached."""
    phis = adapt_tasks(loss_of(policy), theta, supports, **options)
    log_probs = policy.dist(phis, query["obs"]).log_prob(query["actions"])
    losses = torch.func.vmap(surrogate_loss)(
        log_probs, torch.full_like(log_probs, -2.0), query["advantages"], query["mask"]
    )
    return losses.mean()


def meta_gradient(policy, theta, supports, query, **options):
    leaves = trainable(theta)
    loss = meta_loss(policy, leaves, supports, query, **options)
    return loss.detach(), flatten(dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True)))


@pytest.mark.parametrize("policy", [GaussianMLP(D, A, (6, 5)), CategoricalMLP(D, A, (6, 5))], ids=["gauss", "cat"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("per_parameter_lr", [False, True])
@pytest.mark.parametrize("params_stacked", [False, True])
def test_vmap_equals_loop(policy, first_order, per_parameter_lr, params_stacked):
    supports, query = make_batches(policy, 2)
    theta = make_theta(policy)
    inner_lr = LR
    if per_parameter_lr:
        inner_lr = {name: torch.full_like(p, 0.01 * (i + 1)) for i, (name, p) in enumerate(theta.items())}
    if params_stacked:
        theta = stack([make_theta(policy, seed) for seed in range(B)])
    options = {"inner_lr": inner_lr, "first_order": first_order, "params_stacked": params_stacked}
    phis = [adapt_tasks(loss_of(policy), theta, supports, backend=b, **options) for b in ("vmap", "loop")]
    for name in theta:
        torch.testing.assert_close(phis[0][name], phis[1][name], atol=1e-12, rtol=0)
        assert phis[0][name].shape[0] == B and not torch.equal(phis[0][name][0], phis[0][name][1])
    gradients = [meta_gradient(policy, theta, supports, query, backend=b, **options) for b in ("vmap", "loop")]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-12, rtol=0)
    assert gradients[0][1].abs().max() > 1e-3


def test_a_gradient_taken_once_is_the_same_to_the_bit_and_has_no_graph():
    policy, (supports, _) = gaussian_problem(1)
    theta, support = trainable(make_theta(policy)), {name: x[0] for name, x in supports[0].items()}
    expected = differentiable(lambda params: loss_of(policy)(params, support), theta)
    with torch.no_grad():
        found = once(lambda params: loss_of(policy)(params, support), theta)
    for name, grad in expected.items():
        assert torch.equal(found[name], grad) and grad.requires_grad and not found[name].requires_grad
    phi = inner_step(loss_of(policy), theta, support, inner_lr=LR, first_order=True, gradient_of=once)
    (of_theta,) = torch.autograd.grad(sum(p.sum() for p in phi.values()), [theta["w0"]])
    assert (of_theta == 1).all()  # phi = theta - a constant


def test_stacked_params_start_from_their_own_rows():
    policy, (supports, _) = gaussian_problem(1)
    theta = make_theta(policy)
    shared = adapt_tasks(loss_of(policy), theta, supports, inner_lr=LR)
    repeated = adapt_tasks(loss_of(policy), repeat(theta, B), supports, inner_lr=LR, params_stacked=True)
    others = stack([make_theta(policy, seed) for seed in range(B)])
    rows = adapt_tasks(loss_of(policy), others, supports, inner_lr=LR, params_stacked=True)
    for name in theta:
        torch.testing.assert_close(shared[name], repeated[name], atol=1e-13, rtol=0)
    alone = inner_step(
        loss_of(policy),
        {name: p[2] for name, p in others.items()},
        {name: x[2] for name, x in supports[0].items()},
        inner_lr=LR,
    )
    for name in theta:
        torch.testing.assert_close(rows[name][2], alone[name], atol=1e-13, rtol=0)


@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("backend", ["vmap", "loop"])
def test_meta_gradient_equals_finite_differences(inner_steps, backend):
    policy, (supports, query) = gaussian_problem(inner_steps)
    theta = make_theta(policy)
    _, gradient = meta_gradient(policy, theta, supports, query, inner_lr=LR, backend=backend)
    vector, h = flatten(theta), 1e-6
    rng = torch.Generator().manual_seed(2)
    for _ in range(8):
        direction = torch.randn(vector.shape, generator=rng, dtype=torch.float64)
        ends = [
            meta_loss(policy, unflatten(vector + s * h * direction, theta), supports, query, inner_lr=LR)
            for s in (1, -1)
        ]
        torch.testing.assert_close(gradient @ direction, (ends[0] - ends[1]) / (2 * h), atol=1e-8, rtol=1e-6)


def test_first_order_drops_exactly_the_hessian_term():
    """Second order: (I - lr H_i)' g_i; first order: g_i (H_i: Hessian of task i's inner loss at theta)."""
    policy, (supports, query) = gaussian_problem(1)
    theta, lr = make_theta(policy), LR
    first = meta_gradient(policy, theta, supports, query, inner_lr=lr, first_order=True)[1]
    second = meta_gradient(policy, theta, supports, query, inner_lr=lr)[1]
    vector, expected_first, expected_second = flatten(theta), 0.0, 0.0
    for i in range(B):
        support, own_query = ({n: x[i] for n, x in data.items()} for data in (supports[0], query))
        phi = flatten(inner_step(loss_of(policy), theta, support, inner_lr=lr)).requires_grad_()
        log_probs = policy.dist(unflatten(phi, theta), own_query["obs"]).log_prob(own_query["actions"])
        old = torch.full_like(log_probs, -2.0)
        (g,) = torch.autograd.grad(surrogate_loss(log_probs, old, own_query["advantages"], own_query["mask"]), phi)
        hessian = torch.autograd.functional.hessian(
            lambda v, support=support: loss_of(policy)(unflatten(v, theta), support), vector
        )
        expected_first = expected_first + g / B
        expected_second = expected_second + (g - lr * hessian @ g) / B
    torch.testing.assert_close(first, expected_first, atol=1e-12, rtol=0)
    torch.testing.assert_close(second, expected_second, atol=1e-12, rtol=0)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("backend", ["vmap", "loop"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("where", ["support 0", "support 1", "query"])
def test_every_tasks_data_moves_the_meta_gradient(backend, first_order, where):
    """Changing the data of any one task, or leaving it out, changes the meta-gradient."""
    policy, (supports, query) = gaussian_problem(2)
    theta = make_theta(policy)
    options = {"inner_lr": LR, "first_order": first_order, "backend": backend}
    _, whole = meta_gradient(policy, theta, supports, query, **options)
    for task in range(B):
        batches = {"support 0": supports[0], "support 1": supports[1], "query": query}
        changed = dict(batches[where])
        changed["advantages"] = changed["advantages"].clone()
        changed["advantages"][task] *= -1.5
        batches[where] = changed
        _, moved = meta_gradient(
            policy, theta, [batches["support 0"], batches["support 1"]], batches["query"], **options
        )
        assert (moved - whole).abs().max() > 1e-4, f"{where} of task {task} is without influence"
        others = [i for i in range(B) if i != task]
        dropped = [{name: x[others] for name, x in data.items()} for data in (*supports, query)]
        _, without = meta_gradient(policy, theta, dropped[:2], dropped[2], **options)
        assert (without - whole).abs().max() > 1e-4, f"task {task} is without influence"


def test_tasks_do_not_see_each_other():
    policy, (supports, _) = gaussian_problem(1)
    theta = make_theta(policy)
    before = adapt_tasks(loss_of(policy), theta, supports, inner_lr=LR)
    supports[0]["advantages"][1] += 1.0
    after = adapt_tasks(loss_of(policy), theta, supports, inner_lr=LR)
    for name in theta:
        assert torch.equal(before[name][[0, 2, 3]], after[name][[0, 2, 3]])
        assert not torch.equal(before[name][1], after[name][1])
