"""What a recurrent policy feeds its memory."""

import torch

from metarl.rl.recurrent.recurrent_policy import RecurrentPolicy
from metarl.types import EnvSpec


def test_changes_by_hand():
    """A trial whose first episode has two steps; the first step after an end has changed from nothing."""
    policy = RecurrentPolicy(spec=EnvSpec(obs_dim=3, action_dim=2, horizon_steps=6), input_changes=True)
    obs = torch.tensor([[1.0, 0, 4], [3, 1, 4], [7, 7, 7], [7, 9, 7]])
    rewards, ended = torch.tensor([0.0, 5, 6, 4]), torch.tensor([0.0, 0, 1, 0])
    inputs = torch.cat([obs, torch.ones(4, policy.spec.action_dim), rewards[:, None], ended[:, None]], 1).unsqueeze(1)
    none = torch.zeros(1, policy.input_dim + 1)
    features, last = policy.features(inputs, none)
    expected = torch.tensor([[0.0, 0, 0, 0], [2, 1, 0, 5], [0, 0, 0, 0], [0, 2, 0, -2]])
    torch.testing.assert_close(features[:, 0, policy.input_dim :], expected)
    assert torch.equal(features[..., : policy.input_dim], inputs)
    again, _ = policy.features(inputs[3:], policy.features(inputs[:3], none)[1])  # cut between two steps
    assert torch.equal(again, features[3:]) and last[0, -1] == 1
