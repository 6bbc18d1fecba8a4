"""Policy losses by hand; their gradients where theory gives them."""

import torch

from metarl.rl.losses import clipped_surrogate_loss, policy_gradient_loss, surrogate_loss

MASK = torch.tensor([[True, True, False]])
ADVANTAGES = torch.tensor([[2.0, -1.0, 0.0]])


def test_policy_gradient_loss_by_hand():
    log_probs = torch.tensor([[-1.0, -3.0, -50.0]])
    assert policy_gradient_loss(log_probs, ADVANTAGES, MASK) == -0.5 * (-2.0 + 3.0)


def test_surrogate_loss_by_hand():
    """Ratios 2 and 1/4."""
    ratios = torch.tensor([[2.0, 0.25, 1.0]])
    loss = surrogate_loss(ratios.log(), torch.zeros(1, 3), ADVANTAGES, MASK)
    torch.testing.assert_close(loss, torch.tensor(-0.5 * (4.0 - 0.25)))


def test_clipped_surrogate_loss_by_hand():
    """Ratio 2, A = 2: clipped to 1.2; ratio 1/4, A = -1: min(-1/4, -0.8); ratio 2, A = -1: not clipped."""
    log_probs = torch.tensor([2.0, 0.25, 2.0]).log()
    advantages, mask = torch.tensor([2.0, -1.0, -1.0]), torch.ones(3, dtype=torch.bool)
    loss = clipped_surrogate_loss(log_probs, torch.zeros(3), advantages, mask, clip=0.2)
    torch.testing.assert_close(loss, torch.tensor(-(2.4 - 0.8 - 2.0) / 3))


def test_at_the_old_policy_all_gradients_are_the_policy_gradient():
    log_probs = torch.tensor([[-1.0, -0.3, -0.7]], requires_grad=True)
    old = log_probs.detach()
    losses = (
        policy_gradient_loss(log_probs, ADVANTAGES, MASK),
        surrogate_loss(log_probs, old, ADVANTAGES, MASK),
        clipped_surrogate_loss(log_probs, old, ADVANTAGES, MASK, clip=0.2),
    )
    expected = -0.5 * ADVANTAGES
    for loss in losses:
        torch.testing.assert_close(torch.autograd.grad(loss, log_probs)[0], expected)


def test_padded_steps_stay_finite():
    """A wild log-prob past the end of an episode makes neither the loss nor its gradient infinite."""
    log_probs = torch.tensor([[0.0, 0.0, 1e4]], requires_grad=True)
    for loss in (
        surrogate_loss(log_probs, torch.zeros(1, 3), ADVANTAGES, MASK),
        clipped_surrogate_loss(log_probs, torch.zeros(1, 3), ADVANTAGES, MASK, clip=0.2),
    ):
        (grad,) = torch.autograd.grad(loss, log_probs)
        assert torch.isfinite(loss) and torch.isfinite(grad).all() and grad[0, 2] == 0
