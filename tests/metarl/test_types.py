"""What Episodes say of themselves."""

import torch

from metarl.types import Episodes, join_episodes_of_task, stack_episodes


def episodes(mask, success, rewards):
    mask, success, rewards = torch.tensor(mask), torch.tensor(success), torch.tensor(rewards)
    n, t = mask.shape
    return Episodes(
        obs=torch.zeros(n, t, 2),
        actions=torch.zeros(n, t, 1),
        rewards=rewards,
        log_probs=torch.zeros(n, t),
        terminated=mask & False,
        truncated=mask & False,
        success=success,
        mask=mask,
        last_obs=torch.zeros(n, 2),
    )


def test_padding_counts_for_nothing():
    """Four episodes of 2, 3, 3 and 0 steps; what stands in the padding is junk."""
    e = episodes(
        [[True, True, False], [True] * 3, [True] * 3, [False] * 3],
        [[False, True, False], [True, False, False], [False, False, False], [True, True, True]],
        [[1.0, 2.0, 50.0], [1.0, 1.0, 1.0], [0.0, 0.0, -4.0], [9.0, 9.0, 9.0]],
    )
    assert e.num_steps == 8
    assert e.returns_undiscounted().tolist() == [3.0, 3.0, -4.0, 0.0]
    assert e.success_any().tolist() == [True, True, False, False]
    assert e.success_last().tolist() == [True, False, False, False]


def test_episodes_of_another_length_are_padded():
    short = episodes([[True, True]], [[False, True]], [[1.0, 2.0]])
    long = episodes([[True, True, True]], [[False, False, True]], [[1.0, 2.0, 4.0]])
    for both in (stack_episodes([short, long]), join_episodes_of_task([short, long])):
        assert both.returns_undiscounted().flatten().tolist() == [3.0, 7.0]
        assert both.mask.flatten().tolist() == [True, True, False, True, True, True]
        assert both.last_obs.flatten().tolist() == [0.0] * 4


def test_a_stack_has_the_values_of_its_parts():
    parts = [
        episodes([[True, True], [True, False]], [[False, s], [s, False]], [[1.0, 2.0], [3.0, 0.0]])
        for s in (False, True)
    ]
    stacked = stack_episodes(parts)
    assert stacked.obs.shape == (2, 2, 2, 2) and stacked.num_steps == 6
    for i, part in enumerate(parts):
        assert torch.equal(stacked.returns_undiscounted()[i], part.returns_undiscounted())
        assert torch.equal(stacked.success_any()[i], part.success_any())
        assert torch.equal(stacked.success_last()[i], part.success_last())
