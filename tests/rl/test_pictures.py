"""Observations that are pictures: an encoder that batches as the policies do, and a baseline that stays small."""

import pytest
import torch

from metarl.learn.params import stack
from metarl.rl.baseline import explained_variance, fit_linear_baseline, predict_values
from metarl.rl.pictures import SMALLEST, PictureEncoder, PicturePolicy, policy_for
from metarl.rl.policies import GaussianMLP
from metarl.rl.recurrent.recurrent_policy import RecurrentPolicy
from metarl.types import EnvSpec

SPEC = EnvSpec(obs_dim=8 * 6 * 2, action_dim=3, discrete=True, horizon_steps=5, picture=(8, 6, 2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [1, 5, 8, 48, 84, 200])
def test_a_picture_of_any_size_becomes_some_hundreds_of_numbers(size):
    encoder = PictureEncoder(size, size, 3)
    assert max(encoder.sizes[-1]) <= SMALLEST
    encoded = encoder.encode(encoder.init(generator()), torch.rand(2, size * size * 3, generator=generator()))
    assert encoded.shape == (2, encoder.output_dim) and encoder.output_dim <= 32 * SMALLEST**2


def test_each_task_sees_its_pictures_with_its_own_weights():
    policy = policy_for(SPEC, hidden=(16,), init_std=1.0, min_std=0.1)
    phis = [policy.init(generator(seed)) for seed in range(3)]
    obs = torch.rand(3, 5, SPEC.obs_dim, generator=generator())
    together = policy.dist(stack(phis), obs).log_prob(torch.ones(3, 5, dtype=torch.int64))
    for phi, seen, log_probs in zip(phis, obs, together, strict=True):
        alone = policy.dist(phi, seen).log_prob(torch.ones(5, dtype=torch.int64))
        torch.testing.assert_close(alone, log_probs)
    assert not torch.equal(together[0], together[1])


def test_a_policy_of_numbers_has_no_encoder():
    spec = EnvSpec(obs_dim=3, action_dim=2, horizon_steps=5)
    assert isinstance(policy_for(spec, hidden=(8,), init_std=1.0, min_std=0.1), GaussianMLP)
    assert isinstance(policy_for(SPEC, hidden=(8,), init_std=1.0, min_std=0.1), PicturePolicy)


@pytest.mark.parametrize("input_changes", [False, True])
def test_a_memory_sees_pictures_the_same_step_by_step_and_as_a_sequence(input_changes):
    policy = RecurrentPolicy(spec=SPEC, hidden_dim=8, normalize_inputs=True, input_changes=input_changes)
    theta = policy.init(generator())
    obs = torch.rand(4, 2, SPEC.obs_dim, generator=generator())
    transitions = policy.encode_transitions(torch.ones(4, 2, dtype=torch.int64), torch.rand(4, 2), torch.zeros(4, 2))
    state = torch.zeros(2, policy.state_dim)
    outputs, _ = policy.sequence(theta, torch.cat([obs, transitions], dim=-1), state)
    for t in range(4):
        dist, state = policy.step(theta, obs[t], transitions[t], state)
        torch.testing.assert_close(dist.mode(), policy.dist(theta, outputs[t]).mode())
    assert f"picture.conv.w{0}" in theta and theta["picture.conv.w0"].shape[1] == (4 if input_changes else 2)


def test_the_baseline_of_a_large_picture_is_small_and_still_tells_something():
    brightness = torch.rand(1, 4, 50, 1, generator=generator())
    obs = brightness * torch.rand(84 * 84, generator=generator())  # (1, 4, 50, O): 3 GB as a full fit
    returns, mask = brightness.squeeze(-1) * 5, torch.ones(1, 4, 50, dtype=torch.bool)
    weights = fit_linear_baseline(obs, returns, mask)
    assert weights.shape == (1, 2 * 512 + 4)
    values, _ = predict_values(weights, obs, obs[:, :, -1], mask)
    assert explained_variance(values, returns, mask) > 0.99
