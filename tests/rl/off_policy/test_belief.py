"""The belief of PEARL: products of Gaussians by hand, and the transitions that it is told from."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from metarl.rl.off_policy.belief import Belief, context_of, context_rows, factors, prior, product
from metarl.rl.off_policy.norm_mlp import init_norm_mlp
from metarl.types import Episodes


def some(rows, seed=0):
    rng = torch.Generator().manual_seed(seed)
    precision = torch.rand(rows, 3, generator=rng) + 0.1
    return Belief(precision, precision * torch.randn(rows, 3, generator=rng))


def test_a_product_is_that_of_the_densities():
    """Up to a constant, log q(z) is the sum of the log-densities of the prior and of the factors that count."""
    of_each, mask = some(5), torch.tensor([True, False, True, True, False])
    belief = product(of_each, mask, start=prior(3))
    z = torch.linspace(-2, 2, 9).unsqueeze(-1).expand(9, 3)
    densities = [Normal(belief.mean, belief.std).log_prob(z), Normal(0.0, 1.0).log_prob(z)]
    densities += [Normal(f.mean, f.std).log_prob(z) for f in (Belief(*(x[i] for x in of_each)) for i in (0, 2, 3))]
    difference = densities[0] - sum(densities[1:])
    torch.testing.assert_close(difference, difference[:1].expand(9, 3), atol=1e-4, rtol=1e-4)


def test_transitions_in_two_parts_and_in_another_order_are_the_same_belief():
    of_each, every = some(6), torch.ones(6, dtype=torch.bool)
    whole = product(of_each, every, start=prior(3))
    first, rest = (Belief(*(x[part] for x in of_each)) for part in (slice(0, 2), slice(2, None)))
    parts = product(rest, every[2:], start=product(first, every[:2], start=prior(3)))
    turned = product(Belief(*(x.flip(0) for x in of_each)), every, start=prior(3))
    for other in (parts, turned):
        torch.testing.assert_close(other.mean, whole.mean)
        torch.testing.assert_close(other.std, whole.std)


def test_without_a_transition_it_is_the_prior():
    belief = product(some(4), torch.zeros(4, dtype=torch.bool), start=prior(3))
    assert belief.mean.tolist() == [0, 0, 0] and belief.std.tolist() == [1, 1, 1]
    assert float(belief.kl_to_prior()) == 0


def test_the_divergence_is_that_of_torch():
    belief = some(4)
    wanted = kl_divergence(Normal(belief.mean, belief.std), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(belief.kl_to_prior(), wanted)


def test_a_latent_has_the_beliefs_mean_and_std_and_a_gradient_in_both():
    precision = torch.tensor([4.0], requires_grad=True)
    weighted = torch.tensor([2.0], requires_grad=True)
    z = Belief(precision, weighted).sample(torch.tensor([3.0]))
    assert z.item() == pytest.approx(0.5 + 3 * 0.5)
    gradients = torch.autograd.grad(z.sum(), [precision, weighted])
    assert gradients[1].item() == pytest.approx(0.25)
    assert gradients[0].item() == pytest.approx(-2 / 16 - 3 * 0.5 * 4**-1.5)


def episodes_of(lengths, horizon=5):
    """Of one task, stacked: (1, N, T, ...); obs tell the episode and the step."""
    count = len(lengths)
    t = torch.arange(horizon).float().expand(count, horizon)
    number = torch.arange(count).float().unsqueeze(1).expand(count, horizon)
    mask = t < torch.tensor(lengths).unsqueeze(1)
    obs = torch.stack([number, t], -1) * mask.unsqueeze(-1)
    none = torch.zeros_like(mask)
    fields = {
        "obs": obs,
        "actions": (t + 0.5).unsqueeze(-1) * mask.unsqueeze(-1),
        "rewards": 10 * number + t,
        "log_probs": torch.zeros_like(t),
        "terminated": none,
        "truncated": none,
        "success": none,
        "mask": mask,
        "last_obs": torch.tensor([[i, 100.0 + i] for i in range(count)]),
    }
    return Episodes(**{name: x.unsqueeze(0) for name, x in fields.items()})


def test_the_change_of_the_last_step_is_to_the_real_last_observation():
    episodes = episodes_of([5, 3])
    context = context_of(episodes)[0]
    assert context[0, 0].tolist() == [0, 0, 0.5, 0, 0, 1, 0]  # no step before
    assert context[0, 1].tolist() == [0, 1, 1.5, 1, 0, 1, 1]  # obs, action, reward, the changes of both
    assert context[0, 4, 4:].tolist() == [0, 96, 1]  # 100 - 4
    assert context[1, 2].tolist() == [1, 2, 2.5, 12, 0, 99, 1]  # 101 - 2
    assert episodes.mask.sum() == 8


def test_an_encoder_says_positive_precisions_whatever_it_is_fed():
    params = init_norm_mlp((7, 8, 6), torch.Generator().manual_seed(0), last_std=100.0)
    rows = context_rows(
        torch.randn(50, 2), torch.randn(50, 1), 1e4 * torch.randn(50), torch.randn(50, 2), torch.randn(50)
    )
    of_each = factors(params, rows, num_hidden=1)
    assert (of_each.precision > 0).all() and torch.isfinite(of_each.weighted_mean).all()
