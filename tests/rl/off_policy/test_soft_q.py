"""Soft actor-critic's losses: by hand, and by which way they go."""

import pytest
import torch

from metarl.rl.off_policy.norm_mlp import init_norm_mlp
from metarl.rl.off_policy.replay import Transitions
from metarl.rl.off_policy.soft_q import actor_loss, critic_of, soft_target, temperature_loss, value_units
from metarl.rl.off_policy.squashed_gaussian import SquashedGaussian
from metarl.rl.off_policy.value_heads import ScalarValue


def peaked(obs, actions):
    """Two critics whose value is highest at the action 0.5, the second one higher by 1 everywhere; for a second
    discount factor it is highest at -0.5."""
    values = [-(actions - best).square() for best in (0.5, -0.5)]
    value = torch.stack(values, 1)
    return torch.stack([value, value + 1])


def gaussian(mean, log_std=-1.0, rows=4):
    return SquashedGaussian(torch.full((rows, 1), mean), torch.full((rows, 1), log_std))


def test_a_target_by_hand():
    """a' = tanh(0.2 + e^-1 * 1); y = u G + d (min(q1, q2) - u alpha log pi), in units u of 1 and 0.5 / 0.1."""
    policy, noise, alpha = gaussian(0.2, rows=2), torch.ones(2, 1), torch.tensor([0.1, 0.3])
    batch = Transitions(
        groups=torch.tensor([0, 1]),
        obs=torch.zeros(2, 3),
        actions=torch.zeros(2, 1),
        returns=torch.tensor([[1.0, 0.6], [2.0, 1.5]]),
        discounts=torch.tensor([[0.9, 0.5], [0.0, 0.0]]),
        next_obs=torch.zeros(2, 3),
    )
    action, log_prob = policy.sample_with_log_prob(noise)
    far, near = (-float((action[0] - best).square()) for best in (0.5, -0.5))
    units = value_units((0.9, 0.5))
    target = soft_target(batch, peaked, policy, ScalarValue(), noise=noise, alpha=alpha, units=units)
    assert float(target[0, 0]) == pytest.approx(1 + 0.9 * (far - 0.1 * float(log_prob[0])), rel=1e-5)
    assert float(target[0, 1]) == pytest.approx(5 * 0.6 + 0.5 * (near - 5 * 0.1 * float(log_prob[0])), rel=1e-5)
    assert target[1].tolist() == pytest.approx([2.0, 5 * 1.5])  # a terminal state has neither value nor entropy


def test_the_actor_goes_to_the_best_action_and_to_noise_by_its_temperature():
    mean = torch.zeros(64, 1, requires_grad=True)
    log_std = torch.full((64, 1), -1.0, requires_grad=True)
    noise = torch.randn(64, 1, generator=torch.Generator().manual_seed(0))

    def gradients(alpha):
        loss, _ = actor_loss(
            torch.zeros(64, 3),
            peaked,
            SquashedGaussian(mean, log_std),
            ScalarValue(),
            noise=noise,
            alpha=torch.full((64,), alpha),
        )
        return (float(g.sum()) for g in torch.autograd.grad(loss, [mean, log_std]))

    towards, spread = gradients(0.0)
    assert towards < 0 < spread  # the mean rises to 0.5, and the noise shrinks
    _, spread = gradients(1.0)
    assert spread < 0  # at a high temperature it grows


def test_the_critics_values_are_averaged_in_the_actors_loss():
    policy, noise = gaussian(0.0), torch.zeros(4, 1)
    loss, _ = actor_loss(torch.zeros(4, 3), peaked, policy, ScalarValue(), noise=noise, alpha=torch.zeros(4))
    assert float(loss) == pytest.approx(0.25 - 0.5)
    least, _ = actor_loss(
        torch.zeros(4, 3), peaked, policy, ScalarValue(), noise=noise, alpha=torch.zeros(4), by_least=True
    )
    assert float(least) == pytest.approx(0.25)


@pytest.mark.parametrize(("entropy", "rises"), [(-3.0, True), (-1.0, False)])
def test_a_temperature_rises_where_its_own_tasks_entropy_is_too_low(entropy, rises):
    log_alphas = torch.zeros(3, requires_grad=True)
    log_probs = torch.tensor([-entropy, -entropy, 2.0])
    loss = temperature_loss(log_alphas, torch.tensor([1, 1, 0]), log_probs, target_entropy=-2.0)
    (gradient,) = torch.autograd.grad(loss, [log_alphas])
    assert bool(gradient[1] < 0) is rises  # Adam goes down
    assert gradient[0] == 0 and gradient[2] == 0  # at its target; of no row


def test_bfloat16_is_near_float32():
    """The tolerance that is stated for it: 2 % of the spread of the values."""
    params = init_norm_mlp((6, 64, 64, 5), torch.Generator().manual_seed(0), ensemble=2, last_std=0.1)
    rng = torch.Generator().manual_seed(1)
    obs, actions = torch.randn(200, 4, generator=rng), torch.randn(200, 2, generator=rng)
    exact = critic_of(params, num_hidden=2, dtype=torch.float32)(obs, actions)
    half = {name: p.to(torch.bfloat16) for name, p in params.items()}
    rounded = critic_of(half, num_hidden=2, dtype=torch.bfloat16)(obs, actions)
    assert rounded.dtype == torch.float32
    assert float((rounded - exact).std()) < 0.02 * float(exact.std())
