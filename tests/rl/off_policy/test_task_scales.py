"""Units of observations and rewards."""

import pytest
import torch

from metarl.rl.off_policy.task_scales import ObsScales, largest_reward
from metarl.types import Task, TaskData
from tests.rl.off_policy.test_replay import data, episode


def test_obs_scales_are_those_of_all_steps_so_far():
    batches = [[data(1, length=12), data(2, length=3)], [data(5, length=7)]]
    scales = ObsScales(3)
    for batch in batches:
        scales.update(batch)
    obs = torch.cat([d.query.obs[d.query.mask] for batch in batches for d in batch])
    mean, std = scales.mean_and_std()
    torch.testing.assert_close(mean[:2], obs.mean(0)[:2])
    torch.testing.assert_close(std[:2], obs.std(0, correction=0)[:2])


def test_an_entry_that_was_only_0_or_1_stays_as_it_is():
    flags = episode(3, length=6)
    flags.obs[..., 2] = torch.tensor([0.0, 1.0]).repeat(6)
    scales = ObsScales(3)
    scales.update([TaskData(Task("x", {}), (), flags)])
    mean, std = scales.mean_and_std()
    assert mean[2] == 0 and std[2] == 1 and mean[1] == 2.5
    flags.obs[0, 3, 2] = 0.5
    scales.update([TaskData(Task("x", {}), (), flags)])
    assert scales.mean_and_std()[0][2] > 0.4


def test_scales_come_back_from_their_state():
    scales, other = ObsScales(3), ObsScales(3)
    scales.update([data(1, length=12)])
    other.load_state_dict(scales.state_dict())
    scales.update([data(2, length=12)])
    other.update([data(2, length=12)])
    for one, two in zip(scales.mean_and_std(), other.mean_and_std(), strict=True):
        assert torch.equal(one, two)


def test_the_largest_reward_by_hand():
    """gamma = 0.5: returns to go of rewards 1, -4, 2 are -0.5, -3, 2; the largest size is 3, times 1 - gamma."""
    three = episode(0, length=3)
    three.rewards[0, :3] = torch.tensor([1.0, -4.0, 2.0])
    assert largest_reward(three, gamma=0.5) == pytest.approx(1.5)
