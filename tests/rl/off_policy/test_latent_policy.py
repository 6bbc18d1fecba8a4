"""Acting by a belief: a latent an episode, its mean where nothing is random, and beliefs step by step."""

import pytest
import torch

from metarl.learner import ActorInput, BeginsEpisodes, ShowsMemory
from metarl.rl.off_policy.belief import Belief
from metarl.rl.off_policy.latent_policy import LatentBehaviour
from metarl.rl.off_policy.norm_mlp import init_norm_mlp
from metarl.rl.off_policy.squashed_policy import SquashedPolicy
from metarl.types import EnvSpec, Episodes

SPEC = EnvSpec(obs_dim=2, action_dim=1, horizon_steps=4)
LATENT = 3


@pytest.fixture
def behaviour():
    rng = torch.Generator().manual_seed(0)
    policy = SquashedPolicy(SPEC.obs_dim + LATENT, SPEC.action_dim, (8,))
    return LatentBehaviour(
        spec=SPEC,
        policy=policy,
        actor_theta=policy.init(rng),
        encoder_theta=init_norm_mlp((7, 8, 2 * LATENT), rng, last_std=1.0),
        encoder_hidden=1,
        latent_dim=LATENT,
        version=0,
    )


def two_jobs():
    """A wide belief and a narrow one, two lanes each."""
    return [Belief(torch.ones(LATENT), torch.zeros(LATENT))._asdict(), narrow()]


def narrow():
    return Belief(torch.full((LATENT,), 1e8), torch.full((LATENT,), 2e8))._asdict()


def test_a_latent_is_drawn_where_an_episode_begins_and_stays(behaviour):
    actor = behaviour.explorer()
    assert isinstance(actor, BeginsEpisodes) and actor.episode_noise_dim == LATENT
    memory = actor.start(two_jobs(), 2)
    noise = torch.arange(12.0).view(4, 3)
    z, _ = actor.begin(memory, torch.arange(4), noise)
    torch.testing.assert_close(z[:2], noise[:2])  # the prior's own
    torch.testing.assert_close(z[2:], torch.full((2, 3), 2.0), atol=2e-3, rtol=0)
    again, _ = actor.begin((z, memory[1]), torch.tensor([1]), torch.full((1, 3), -1.0))
    assert again[1].tolist() == [-1, -1, -1] and torch.equal(again[[0, 2, 3]], z[[0, 2, 3]])
    inputs = ActorInput(torch.zeros(4, 2), torch.zeros(4, 1), torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    actions, log_probs, (kept, _) = actor.act((z, memory[1]), inputs, torch.zeros(4, 1))
    assert torch.equal(kept, z) and actions.shape == (4, 1) and torch.isfinite(log_probs).all()
    assert len({float(a) for a in actions[:2]}) == 2  # one observation, two latents


def test_the_mean_action_is_by_the_mean_latent(behaviour):
    actor = behaviour.actor(deterministic=True)
    memory = actor.start([narrow()], 1)
    z, _ = actor.begin(memory, torch.tensor([0]), torch.full((1, 3), 9.0))
    assert z.tolist() == [[2, 2, 2]]


def trial(count=2):
    rng = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])[:count]
    none = torch.zeros_like(mask)
    return Episodes(
        obs=torch.randn(count, 4, 2, generator=rng),
        actions=torch.randn(count, 4, 1, generator=rng),
        rewards=torch.randn(count, 4, generator=rng),
        log_probs=torch.zeros(count, 4),
        terminated=none,
        truncated=none,
        success=none,
        mask=mask,
        last_obs=torch.randn(count, 2, generator=rng),
    )


def test_beliefs_step_by_step_end_where_adapting_does(behaviour):
    assert isinstance(behaviour, ShowsMemory)
    (memory,) = behaviour.memories([trial()])
    assert memory.shape == (6, 2 * LATENT)
    belief = Belief(**behaviour.adapt([behaviour.prior()], [trial()])[0])
    torch.testing.assert_close(memory[-1], torch.cat([belief.mean, belief.std]))
    assert (memory[1:, LATENT:] <= memory[:-1, LATENT:]).all()  # never wider than before
