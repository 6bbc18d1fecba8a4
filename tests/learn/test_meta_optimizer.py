"""Meta-optimizers: against linear algebra, against torch.optim, and in all the ways a step can be refused."""

import math

import pytest
import torch

from metarl.learn.inner_loop import adapt_tasks
from metarl.learn.meta_optimizer import Adam, Interpolation, TrustRegion, conjugate_gradient, fisher_vector_product
from metarl.learn.params import flatten, unflatten
from metarl.rl.distributions import Gaussian
from metarl.rl.losses import policy_gradient_loss, surrogate_loss
from metarl.rl.policies import CategoricalMLP, GaussianMLP
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from tests.elsewhere import ELSEWHERE, Elsewhere
from tests.learn.policy_batch import policy_batch

B, M, D, A = 3, 12, 3, 2


def generator(seed):
    return torch.Generator().manual_seed(seed)


def clone(params):
    return {name: p.clone() for name, p in params.items()}


def bit_equal(a, b):
    return list(a) == list(b) and all(a[n].numpy().tobytes() == b[n].numpy().tobytes() for n in a)


# Conjugate gradient


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_cg_equals_linear_solve(scale):
    root = torch.randn(8, 8, generator=generator(0), dtype=torch.float64)
    matrix = root @ root.T + torch.eye(8, dtype=torch.float64)
    b = torch.randn(8, generator=generator(1), dtype=torch.float64) * scale
    x = conjugate_gradient(lambda v: matrix @ v, b, iterations=30)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), rtol=1e-4, atol=0)


def test_cg_of_zero_is_zero():
    assert torch.equal(conjugate_gradient(lambda v: v, torch.zeros(3), iterations=5), torch.zeros(3))


@pytest.mark.parametrize(
    "diagonal",
    [[1.0, 0.0], [1.0, -2.0], [-1.0, -1.0], [math.nan, 1.0], [math.inf, 1.0]],
    ids=["singular", "indefinite", "negative", "nan", "inf"],
)
def test_cg_gives_none_at_degenerate_curvature(diagonal):
    assert conjugate_gradient(lambda v: torch.tensor(diagonal) * v, torch.ones(2), iterations=10) is None


@pytest.mark.parametrize("b, iterations", [((1.0, -2.0, 0.5), 2), ((1.0, -2.0, 0.5), 9), ((0.0, 0.0, 0.0), 9)])
def test_conjugate_gradient_elsewhere_waits_once_and_gives_the_same(b, iterations):
    """On a GPU each number that is asked for stops it; after the exact solution no iteration changes anything."""
    diagonal = torch.tensor([1.0, 2.0, 4.0])
    here = conjugate_gradient(lambda v: diagonal * v, torch.tensor(b), iterations=iterations)
    with Elsewhere() as elsewhere:
        there = diagonal.to(ELSEWHERE)
        x = conjugate_gradient(lambda v: there * v, torch.tensor(b).to(ELSEWHERE), iterations=iterations)
        assert elsewhere.copies_here == 1
        assert torch.equal(x.cpu(), here)
        assert conjugate_gradient(lambda v: -there * v, torch.ones(3).to(ELSEWHERE), iterations=iterations) is None


# Trust region, on the real thing: policies adapted by second-order inner steps


class MetaObjective:
    """The surrogate loss and KL of the adapted policies, as MAML-TRPO has them."""

    def __init__(self, policy, theta, *, inner_steps=1, first_order=False, scale=1.0):
        rng = generator(4)
        self.policy_net, self.first_order = policy, first_order

        def batch():
            return policy_batch(rng, shape=(B, M), obs_dim=D, action_dim=A, discrete=policy.discrete, scale=scale)

        self.supports, self.query = [batch() for _ in range(inner_steps)], batch()
        self.old = self.dist(theta).detach()
        self.old_log_probs = self.old.log_prob(self.query["actions"])

    def dist(self, theta):
        def loss(params, data):
            log_probs = self.policy_net.dist(params, data["obs"]).log_prob(data["actions"])
            return policy_gradient_loss(log_probs, data["advantages"], data["mask"])

        phis = adapt_tasks(loss, theta, self.supports, inner_lr=0.05, first_order=self.first_order)
        return self.policy_net.dist(phis, self.query["obs"])

    def weights(self):
        mask = self.query["mask"].double()
        return mask / mask.sum(-1, keepdim=True) / B

    def loss_and_kl(self, theta):
        dist, q = self.dist(theta), self.query
        losses = torch.func.vmap(surrogate_loss)(
            dist.log_prob(q["actions"]), self.old_log_probs, q["advantages"], q["mask"]
        )
        return losses.mean(), (dist.kl_from(self.old) * self.weights()).sum()

    def policy(self, theta):
        return self.dist(theta), self.weights()


def double_theta(policy):
    rng = generator(3)
    return {
        name: p.double() + 0.2 * torch.randn(p.shape, generator=rng, dtype=torch.float64)
        for name, p in policy.init(rng).items()
    }


POLICIES = pytest.mark.parametrize(
    "policy", [GaussianMLP(D, A, (4,)), CategoricalMLP(D, A, (4,))], ids=["gauss", "cat"]
)


@POLICIES
@pytest.mark.parametrize("inner_steps, first_order", [(1, False), (2, False), (1, True)])
def test_fisher_vector_product_equals_the_hessian_of_the_kl(policy, inner_steps, first_order):
    """Through the inner loop. (First order: J' F J with the first-order Jacobian J.)"""
    theta = double_theta(policy)
    objective = MetaObjective(policy, theta, inner_steps=inner_steps, first_order=first_order)
    leaves = {name: p.clone().requires_grad_() for name, p in theta.items()}
    product = fisher_vector_product(objective, leaves)
    vector = flatten(theta)
    actual = torch.stack([product(v) for v in torch.eye(len(vector), dtype=torch.float64)])

    expected = torch.autograd.functional.hessian(lambda v: objective.loss_and_kl(unflatten(v, theta))[1], vector)
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(actual, actual.T, atol=1e-12, rtol=0)
    assert torch.linalg.eigvalsh(actual).min() > -1e-12 and actual.abs().max() > 1e-2


@POLICIES
@pytest.mark.parametrize("max_kl", [1e-4, 1e-2])
@pytest.mark.parametrize("scale", [1e-7, 1.0])
def test_an_accepted_step_improves_the_loss_and_respects_the_kl(policy, max_kl, scale):
    """Whatever the scale of the advantages: a natural-gradient step has none."""
    theta = double_theta(policy)
    before = clone(theta)
    objective = MetaObjective(policy, theta, scale=scale)
    loss_before, kl_before = objective.loss_and_kl(theta)
    new, metrics = TrustRegion(max_kl=max_kl).step(objective, theta)
    loss, kl = objective.loss_and_kl(new)
    assert metrics["meta_step_accepted"] == 1
    assert metrics["rejected_not_finite"] == metrics["rejected_no_improvement"] == 0
    assert abs(kl_before) < 1e-12 and 0.3 * max_kl < kl <= max_kl
    assert loss < loss_before
    assert metrics["kl"] == pytest.approx(float(kl))
    assert metrics["meta_loss"] == pytest.approx(float(loss_before))
    assert metrics["meta_loss_improvement"] == pytest.approx(float(loss_before - loss))
    assert bit_equal(theta, before) and not any(p.requires_grad for p in (*theta.values(), *new.values()))


def test_the_step_is_the_natural_gradient_step():
    """theta - sqrt(2 max_kl / g' F^-1 g) F^-1 g, by dense linear algebra."""
    policy = GaussianMLP(D, A, ())
    theta = double_theta(policy)
    objective = MetaObjective(policy, theta)
    damping, max_kl = 1e-3, 1e-9
    vector = flatten(theta)
    g = torch.autograd.functional.jacobian(lambda v: objective.loss_and_kl(unflatten(v, theta))[0], vector)
    fisher = torch.autograd.functional.hessian(lambda v: objective.loss_and_kl(unflatten(v, theta))[1], vector)
    solution = torch.linalg.solve(fisher + damping * torch.eye(len(g)), g)
    expected = vector - torch.sqrt(2 * max_kl / (g @ solution)) * solution
    step = TrustRegion(max_kl=max_kl, cg_iterations=40, cg_damping=damping)
    new, metrics = step.step(objective, theta)
    assert metrics["backtracks"] == 0
    torch.testing.assert_close(flatten(new), expected, rtol=0, atol=1e-9)


class Quadratic:
    """A crafted problem, policy N(w, 1) at one state: loss(w) as given, KL |w - w0|^2 / 2 unless given."""

    def __init__(self, theta, loss, kl=None):
        self.start, self.loss, self.kl = theta["w"].clone(), loss, kl
        self.calls = 0

    def loss_and_kl(self, theta):
        self.calls += 1
        moved = 0.5 * (theta["w"] - self.start).square().sum()
        return self.loss(theta["w"], self.calls), moved if self.kl is None else self.kl(moved)

    def policy(self, theta):
        mean = theta["w"].unsqueeze(0)
        return Gaussian(mean, torch.zeros_like(mean) + 0.0 * mean), torch.ones(1)


THETA = {"w": torch.tensor([1.0, -2.0, 0.1])}


def refused(objective, **config):
    """The metrics of a step that must be refused, with theta returned and left as it was, bit for bit."""
    theta = clone(THETA)
    new, metrics = TrustRegion(**config).step(objective, theta)
    assert bit_equal(new, THETA) and bit_equal(theta, THETA)
    assert metrics["meta_step_accepted"] == 0
    assert metrics["rejected_not_finite"] + metrics["rejected_no_improvement"] == 1
    return metrics


def test_a_crafted_step_by_hand():
    """Loss w_0, KL |dw|^2/2 <= max_kl = 0.02: dw_0 = -sqrt(2 * 0.02) = -0.2 (less a hair for the damping)."""
    new, metrics = TrustRegion(max_kl=0.02, cg_damping=1e-4).step(Quadratic(THETA, lambda w, call: w[0]), clone(THETA))
    assert metrics["meta_step_accepted"] == 1
    torch.testing.assert_close(new["w"], torch.tensor([0.8, -2.0, 0.1]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_non_finite_loss_is_refused(bad):
    metrics = refused(Quadratic(THETA, lambda w, call: w.sum() * bad))
    assert metrics["rejected_not_finite"] == 1
    metrics = refused(Quadratic(THETA, lambda w, call: w.sum() + bad))  # with a finite gradient
    assert metrics["rejected_not_finite"] == 1


def test_a_loss_that_is_nan_everywhere_but_at_theta_is_refused():
    metrics = refused(Quadratic(THETA, lambda w, call: w.sum() if call == 1 else w.sum() * math.nan))
    assert metrics["rejected_no_improvement"] == 1 and metrics["backtracks"] == 15


def test_a_loss_that_cannot_improve_is_refused():
    metrics = refused(Quadratic(THETA, lambda w, call: w.sum() + 100.0 * (call > 1)), max_backtracks=4)
    assert metrics["rejected_no_improvement"] == 1 and metrics["backtracks"] == 4


def test_an_equal_loss_is_not_an_improvement():
    assert refused(Quadratic(THETA, lambda w, call: w.sum() - w.sum().detach()))["rejected_no_improvement"] == 1


def test_a_kl_that_is_never_small_enough_is_refused():
    metrics = refused(Quadratic(THETA, lambda w, call: w.sum(), kl=lambda moved: moved + 1.0))
    assert metrics["rejected_no_improvement"] == 1
    refused(Quadratic(THETA, lambda w, call: w.sum(), kl=lambda moved: moved * math.nan))


def test_a_zero_gradient_is_refused_as_no_improvement():
    """As of a constant reward: nothing is wrong with the numbers."""
    assert refused(Quadratic(THETA, lambda w, call: 0.0 * w.sum()))["rejected_no_improvement"] == 1


def test_infinite_curvature_is_refused():
    class Broken(Quadratic):
        def policy(self, theta):
            dist, weights = super().policy(theta)
            return dist, weights * math.inf

    assert refused(Broken(THETA, lambda w, call: w.sum()))["rejected_not_finite"] == 1


def test_backtracking_stops_at_the_first_length_within_both_bounds():
    """KL is 2.5 times what the quadratic model says: the first length r with 2.5 r^2 <= 1 is taken."""
    objective = Quadratic(THETA, lambda w, call: w.sum(), kl=lambda moved: 2.5 * moved)
    _, metrics = TrustRegion(max_kl=0.01).step(objective, clone(THETA))
    assert metrics["meta_step_accepted"] == 1
    assert metrics["backtracks"] == math.ceil(math.log(1 / 2.5) / math.log(0.8**2))
    assert metrics["kl"] <= 0.01


# Adam


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_adam_equals_torch(max_grad_norm):
    theta = {"w": torch.randn(3, 2, generator=generator(0)), "b": torch.randn(2, generator=generator(1))}
    leaves = [p.clone().requires_grad_() for p in theta.values()]
    target = torch.randn(3, 2, generator=generator(2))

    def objective(params, step):
        return (params["w"] * params["b"] - target * step).square().sum()

    options = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}
    reference, adam = torch.optim.Adam(leaves, **options), Adam(**options, max_grad_norm=max_grad_norm)
    for step in range(1, 7):
        before = clone(theta)
        new, metrics = adam.step(lambda params, step=step: objective(params, step), theta)
        assert bit_equal(theta, before)
        reference.zero_grad()
        loss = objective(dict(zip(theta, leaves, strict=True)), step)
        loss.backward()
        loss = float(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(leaves, math.inf if max_grad_norm is None else max_grad_norm)
        reference.step()
        theta = new
        torch.testing.assert_close(list(theta.values()), [p.detach() for p in leaves])
        assert metrics["meta_loss"] == pytest.approx(loss) and metrics["grad_norm"] == pytest.approx(float(norm))
        assert metrics["meta_step_accepted"] == 1 and not any(p.requires_grad for p in theta.values())
        assert max_grad_norm is None or norm > max_grad_norm


@pytest.mark.parametrize(
    "bad", [lambda w: w.sum() * math.nan, lambda w: w.sum() + math.inf, lambda w: (w * 0).sqrt().sum()]
)
def test_adam_skips_a_non_finite_gradient(bad):
    """theta and the moments stay, so that the next step is as if the bad one had not been."""
    theta = {"w": torch.tensor([1.0, 2.0])}
    tried, untried = Adam(lr=0.1), Adam(lr=0.1)
    good = lambda p: p["w"].square().sum()  # noqa: E731
    for adam in (tried, untried):
        theta_after, _ = adam.step(good, theta)
    same, metrics = tried.step(lambda p: bad(p["w"]), theta_after)
    assert bit_equal(same, theta_after) and metrics["meta_step_accepted"] == 0
    assert bit_equal(tried.step(good, theta_after)[0], untried.step(good, theta_after)[0])


def test_adam_goes_on_from_its_saved_state(tmp_path):
    theta = {"w": torch.tensor([1.0, 2.0])}
    objective = lambda p: p["w"].pow(4).sum()  # noqa: E731
    adam = Adam(lr=0.1)
    for _ in range(3):
        theta, _ = adam.step(objective, theta)
    restored = Adam(lr=0.1)
    restored.load_state_dict(load_checkpoint(save_checkpoint(tmp_path, 3, adam.state_dict())))
    assert bit_equal(restored.step(objective, theta)[0], adam.step(objective, theta)[0])
    assert not bit_equal(Adam(lr=0.1).step(objective, theta)[0], adam.step(objective, theta)[0])


# Interpolation


def test_interpolation_by_hand():
    """theta + 0.25 (mean(phi) - theta)."""
    theta = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(4.0)}
    before = clone(theta)
    phis = {"w": torch.tensor([[3.0, 2.0], [7.0, 6.0]]), "b": torch.tensor([0.0, 0.0])}
    new, metrics = Interpolation(meta_lr=0.25).step(phis, theta)
    assert new["w"].tolist() == [2.0, 2.5] and new["b"] == 3.0
    assert metrics["meta_step_norm"] == pytest.approx(math.sqrt(1 + 0.25 + 1))
    assert bit_equal(theta, before)


def test_a_step_that_is_not_accepted_leaves_theta_and_the_moments_as_they_were():
    """As PPO's that went too far: else the next step would go on from a gradient that was never taken."""
    adam, theta = Adam(lr=0.1), {"w": torch.tensor([1.0, -2.0])}
    theta, _ = adam.step(lambda p: p["w"].square().sum(), theta)
    before = {name: dict(m) if isinstance(m, dict) else m for name, m in adam.state_dict().items()}
    same, metrics = adam.step(lambda p: (p["w"] * 100).square().sum(), theta, accepts=lambda: False)
    assert torch.equal(same["w"], theta["w"]) and metrics["meta_step_accepted"] == 0
    assert adam.state_dict() == before
