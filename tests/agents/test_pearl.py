"""PEARL finds out what is hidden: on one-step tasks whose best action only the rewards tell."""

import dataclasses

import pytest
import torch

from metarl.agents.pearl import PEARL, PEARLConfig
from metarl.errors import UserError
from metarl.learner import ActorInput
from metarl.progress import heard_by
from metarl.rl.off_policy.belief import Belief
from metarl.seeding import torch_rng
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=1, action_dim=1, horizon_steps=1)
SMALL = PEARLConfig(
    latent_dim=2,
    encoder_hidden=(32,),
    actor_hidden=(32, 32),
    critic_hidden=(32, 32),
    context_steps=10,
    tasks_per_step=8,
    rows_per_task=16,
    replay_ratio=32,
    warmup_steps=100,
    lr=3e-3,
    first_temperature=0.01,
    target_entropy=-2.0,
    precision="float32",
)


def episodes(best, seed, *, count=10):
    """Random actions; reward -(action - best)^2 after one step, and an observation that says nothing."""
    rng = torch_rng((seed,))
    actions = torch.rand(count, 1, 1, generator=rng) * 2 - 1
    ones = torch.ones(count, 1, dtype=torch.bool)
    return Episodes(
        obs=torch.zeros(count, 1, 1),
        actions=actions,
        rewards=-(actions - best).square().squeeze(-1),
        log_probs=torch.zeros(count, 1),
        terminated=ones,
        truncated=~ones,
        success=~ones,
        mask=ones,
        last_obs=torch.zeros(count, 1),
    )


def batch_of(update, *, tasks=10):
    best = torch.rand(tasks, generator=torch_rng((update, 1))) * 1.6 - 0.8
    return [
        TaskData(Task(f"{b:.3f}", {}), (episodes(b, 1000 * update + i),), episodes(b, 1000 * update + 500 + i))
        for i, b in enumerate(best.tolist())
    ]


@pytest.fixture(scope="module")
def learner():
    learner = PEARL(SPEC, SMALL, generator=torch_rng((0,)))
    for update in range(12):
        learner.meta_update(batch_of(update))
    return learner


def mean_actions(behaviour, phis):
    actor, none = behaviour.actor(deterministic=True), torch.zeros(len(phis))
    inputs = ActorInput(torch.zeros(len(phis), 1), none.unsqueeze(1), none, none.bool())
    actions, _, _ = actor.act(actor.start(phis, 1), inputs, torch.zeros(len(phis), 0))
    return actions.squeeze(-1)


def test_it_acts_by_what_the_support_episodes_of_a_new_task_tell(learner):
    behaviour, best = learner.behaviour(), torch.linspace(-0.7, 0.7, 8)
    supports = [episodes(b, 77_000 + i) for i, b in enumerate(best.tolist())]
    phis = behaviour.adapt([behaviour.prior()] * 8, supports)
    torch.testing.assert_close(mean_actions(behaviour, phis), best, atol=0.2, rtol=0)


def test_what_it_believes_is_narrower_than_the_prior(learner):
    behaviour = learner.behaviour()
    few, many = (behaviour.adapt([behaviour.prior()], [episodes(0.5, 88_000, count=n)])[0] for n in (1, 10))
    assert (Belief(**many).std < Belief(**few).std).all() and (Belief(**few).std < 1).all()


def test_no_gradient_step_before_the_warm_up_and_then_by_the_ratio():
    learner = PEARL(SPEC, dataclasses.replace(SMALL, warmup_steps=500), generator=torch_rng((0,)))
    steps, told = [], []
    for update in range(3):  # 200 env steps each, in 400 rows
        with heard_by(told.append):
            steps.append(learner.meta_update(batch_of(update))["gradient_steps"])
    assert steps == [0, 50, 50]  # 32 * 200 / (8 * 16)
    assert len(told) == 100 and told[-1] == 1.0


def test_the_encoder_learns_from_the_critics_loss_alone():
    """Without a weight on the divergence two gradient steps move it, and the actor's own does not; at first the critics
    say the same whatever z."""
    learner = PEARL(SPEC, dataclasses.replace(SMALL, kl_weight=0.0), generator=torch_rng((0,)))
    learner.meet(batch_of(0))
    scales = learner.scales()
    before = learner.encoder.copy()
    for step in range(2):
        learner.gradient_step(torch_rng((step,)), scales)
    moved = learner.encoder.copy()
    assert any(not torch.equal(moved[name], before[name]) for name in before)
    seen = torch.zeros(4, 3)
    learner.nets.step_actor(seen, torch.zeros(4).long(), noise=torch.zeros(4, 1), target_entropy=-1.0)
    assert all(torch.equal(learner.encoder.copy()[name], moved[name]) for name in moved)


@pytest.mark.thorough
def test_the_weight_of_the_divergence_holds_the_belief_to_the_prior():
    kl = {}
    for weight in (0.0, 100.0):
        learner = PEARL(SPEC, dataclasses.replace(SMALL, kl_weight=weight), generator=torch_rng((0,)))
        for update in range(4):
            kl[weight] = learner.meta_update(batch_of(update))["kl"]
    assert kl[100.0] < 0.2 * kl[0.0]


def test_discrete_actions_are_refused_with_what_to_take():
    with pytest.raises(UserError, match="3 discrete ones; take maml or rl2"):
        PEARL(dataclasses.replace(SPEC, discrete=True, action_dim=3), SMALL, generator=torch_rng((0,)))
