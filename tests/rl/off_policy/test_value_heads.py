"""What critics' outputs mean: bins against a slow projection, by hand, and by their means."""

import pytest
import torch

from metarl.rl.off_policy.value_heads import BinnedValue, ScalarValue

HEADS = [
    BinnedValue(bins, 20.0, sign=sign, spacing=spacing)
    for bins in (5, 21)
    for sign in ("both", "positive")
    for spacing in ("even", "square")
]


def slow_projection(head, values, weights):
    projected = torch.zeros(len(values), head.bins)
    for row in range(len(values)):
        for value, weight in zip(values[row].clamp(float(head.z[0]), 20.0), weights[row], strict=True):
            high = next((i for i in range(1, head.bins) if head.z[i] >= value), head.bins - 1)
            share = float((value - head.z[high - 1]) / (head.z[high] - head.z[high - 1]))
            projected[row, high - 1] += weight * (1 - share)
            projected[row, high] += weight * share
    return projected


def some(head, rows=6, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, rows, head.size, generator=rng)


@pytest.mark.parametrize("head", HEADS)
def test_projection_is_that_of_a_loop_over_bins(head):
    rng = torch.Generator().manual_seed(1)
    values, weights = 15 * torch.randn(6, head.bins, generator=rng), torch.rand(6, head.bins, generator=rng)
    torch.testing.assert_close(
        head.project(values, weights), slow_projection(head, values, weights), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("head", HEADS)
def test_a_target_sums_to_one_and_its_mean_is_r_plus_discount_times_the_least_value(head):
    outputs = some(head)
    rewards, discounts = torch.full((6,), 0.3), torch.tensor([0.9, 0.9, 0.5, 0.5, 0.0, 0.0])
    target = head.target(outputs, rewards, discounts)
    torch.testing.assert_close(target.sum(-1), torch.ones(6))
    expected = rewards + discounts * head.values(outputs).amin(0)
    torch.testing.assert_close(target @ head.z, expected, atol=1e-3, rtol=1e-3)  # nothing here is beyond the ends


@pytest.mark.parametrize("head", HEADS)
def test_beyond_the_ends_is_the_end(head):
    ends = head.project(torch.tensor([[1e4], [-1e4]]), torch.ones(2, 1)) @ head.z
    assert float(ends[0]) == pytest.approx(20) and float(ends[1]) == pytest.approx(float(head.z[0]), abs=1e-5)
    assert head.beyond(torch.tensor([20.5, float(head.z[0]) - 1, 3.0])).tolist() == [True, True, False]


def test_bins_by_hand():
    assert BinnedValue(5, 20.0, sign="positive", spacing="even").z.tolist() == [0, 5, 10, 15, 20]
    assert BinnedValue(5, 20.0, sign="positive", spacing="square").z.tolist() == [0, 1.25, 5, 11.25, 20]
    assert BinnedValue(5, 20.0, sign="both", spacing="square").z.tolist() == [-20, -5, 0, 5, 20]


@pytest.mark.parametrize("head", HEADS)
def test_values_begin_near_0(head):
    spread = float(head.z[1] - head.z[0]) if head.spacing == "even" else 1.5 * head.largest / head.bins
    assert abs(float(head.values(head.first_bias().expand(1, 1, -1)))) < 4 * spread


@pytest.mark.parametrize("head", [HEADS[0], ScalarValue()])
def test_losses_fall_to_their_least_where_the_outputs_say_the_target(head):
    """Descending the loss makes every critic's value that of the target."""
    target = head.target(some(head), torch.full((6,), 0.5), torch.full((6,), 0.8))
    outputs = some(head, seed=3).requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=0.1)
    for _ in range(600):
        optimizer.zero_grad()
        head.losses(outputs, target).sum().backward()
        optimizer.step()
    wanted = target if isinstance(head, ScalarValue) else target @ head.z
    torch.testing.assert_close(head.values(outputs), wanted.expand(2, 6), atol=0.1, rtol=0.02)


def test_a_scalars_target_is_by_the_lesser_critic():
    outputs = torch.tensor([[[1.0], [5.0]], [[2.0], [4.0]]])
    target = ScalarValue().target(outputs, torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.0]))
    assert target.tolist() == [1.5, 1.0]
