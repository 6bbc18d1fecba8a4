"""Soft actor-critic learns: from data of random actions, by both kinds of value, on a task of its own."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from metarl.agents.sac import SAC, SACConfig, focused_shares
from metarl.errors import NonFiniteError, SettingError, UserError
from metarl.learner import ActorInput
from metarl.progress import heard_by
from metarl.rollout.collect import explorer_of
from metarl.rollout.lockstep import draw_noise
from metarl.seeding import torch_rng
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=2, action_dim=1, horizon_steps=1)
SMALL = SACConfig(
    actor_hidden=(32, 32),
    critic_hidden=(32, 32),
    batch_size=128,
    lr=4e-3,
    warmup_steps=100,
    replay_capacity=5_000,
    first_temperature=0.01,
    target_entropy=-3.0,
    precision="float32",
    replay_ratio=16,
)


def one_step_episodes(seed, best, *, count=200, scale=1.0):
    """Contexts in [-1, 1], random actions, reward -scale (action - best(context))^2."""
    rng = torch_rng((seed,))
    context = torch.rand(count, 1, 1, generator=rng) * 2 - 1
    actions = torch.rand(count, 1, 1, generator=rng) * 2 - 1
    obs = torch.cat([context, torch.ones_like(context)], -1)
    ones = torch.ones(count, 1, dtype=torch.bool)
    return Episodes(
        obs=obs,
        actions=actions,
        rewards=-scale * (actions - best(context)).square().squeeze(-1),
        log_probs=torch.zeros(count, 1),
        terminated=ones,
        truncated=~ones,
        success=~ones,
        mask=ones,
        last_obs=obs[:, 0],
    )


def learn(config, tasks, *, updates=10):
    learner = SAC(SPEC, config, generator=torch_rng((0,)))
    for update in range(updates):
        learner.meta_update(
            [
                TaskData(Task(name, {}, name), (), one_step_episodes(100 * update + i, best, scale=scale))
                for i, (name, (best, scale)) in enumerate(tasks.items())
            ]
        )
    return learner


def mean_action(learner, context):
    obs = torch.stack([context, torch.ones_like(context)], -1)
    none = torch.zeros(len(obs))
    actor = learner.behaviour().actor(deterministic=True)
    actions, _, _ = actor.act(None, ActorInput(obs, none.unsqueeze(1), none, none.bool()), torch.zeros(len(obs), 0))
    return actions.squeeze(-1)


@pytest.mark.parametrize(("value", "scale"), [("bins", 1.0), ("bins", 1_000.0), ("scalar", 1.0)])
def test_it_finds_the_best_action_of_each_context(value, scale):
    """From random actions alone; whatever the size of the rewards, since each task's are scaled by its own."""
    learner = learn(dataclasses.replace(SMALL, value=value), {"": (lambda c: 0.6 * c, scale)})
    context = torch.linspace(-0.9, 0.9, 7)
    torch.testing.assert_close(mean_action(learner, context), 0.6 * context, atol=0.12, rtol=0)


def test_two_tasks_have_a_scale_and_a_temperature_each():
    learner = learn(SMALL, {"small": (lambda c: c, 0.1), "large": (lambda c: c, 10.0)}, updates=3)
    small, large = learner.return_scales.tolist()
    assert large == pytest.approx(100 * small, rel=0.3)
    assert learner.nets.log_alphas.copy()["log_alpha"].shape == (2,)


def chain(count=200, length=4):
    """Random actions without an effect, and a reward of 1 in the last of so many steps; obs is the step's number."""
    t = torch.arange(length).float().expand(count, length)
    none = torch.zeros(count, length, dtype=torch.bool)
    last = none | (t == length - 1)
    return Episodes(
        obs=torch.stack([t, torch.ones_like(t)], -1),
        actions=torch.rand(count, length, 1, generator=torch_rng((0,))) * 2 - 1,
        rewards=last.float(),
        log_probs=torch.zeros(count, length),
        terminated=last,
        truncated=none,
        success=none,
        mask=~none,
        last_obs=torch.full((count, 2), float(length)),
    )


@pytest.mark.parametrize("value", ["bins", "scalar"])
def test_critics_learn_the_values_of_all_discounts(value):
    """Q of the first step is gamma^3 with one reward at the fourth; the other's is that times its unit, 0.5 / 0.1."""
    config = dataclasses.replace(
        SMALL, value=value, n_step=2, gamma=0.9, auxiliary_gammas=(0.5,), return_scale=False, first_temperature=1e-6
    )
    spec = dataclasses.replace(SPEC, horizon_steps=4)
    learner = SAC(spec, config, generator=torch_rng((0,)))
    for _ in range(5):
        learner.meta_update([TaskData(Task("", {}), (), chain())])
    obs, draws = chain().obs[0], learner.draws()
    with torch.no_grad():
        outputs = learner.nets.outputs((obs - draws.obs_mean) / draws.obs_std, torch.zeros(4, 1))
    values = learner.nets.head.values(outputs).mean(0)
    to_go = 3 - obs[:, 0]
    torch.testing.assert_close(values, torch.stack([0.9**to_go, 5 * 0.5**to_go], 1), atol=0.1, rtol=0.1)


WITH_IDS = EnvSpec(obs_dim=4, action_dim=1, horizon_steps=1)


def with_id(episodes, task, tasks=2):
    """The same with a one-hot id at the end of each observation."""
    ids = torch.eye(tasks)[task]
    obs = torch.cat([episodes.obs, ids.expand(*episodes.obs.shape[:2], tasks)], -1)
    return dataclasses.replace(episodes, obs=obs, last_obs=obs[:, -1])


def with_heads(**settings):
    return SAC(WITH_IDS, dataclasses.replace(SMALL, heads=2, **settings), generator=torch_rng((0,)))


@pytest.mark.thorough
def test_two_tasks_that_want_opposite_actions_have_a_head_each():
    learner = with_heads(value="bins")
    for update in range(10):
        learner.meta_update(
            [
                TaskData(Task(str(i), {}, str(i)), (), with_id(one_step_episodes(100 * update + i, best), i))
                for i, best in enumerate([lambda c: 0.6 * c, lambda c: -0.6 * c])
            ]
        )
    actor, none = learner.behaviour().actor(deterministic=True), torch.zeros(7)
    context = torch.linspace(-0.9, 0.9, 7)
    for task, slope in enumerate([0.6, -0.6]):
        obs = torch.cat([torch.stack([context, torch.ones(7)], -1), torch.eye(2)[task].expand(7, 2)], -1)
        actions, _, _ = actor.act(None, ActorInput(obs, none.unsqueeze(1), none, none.bool()), torch.zeros(7, 0))
        torch.testing.assert_close(actions.squeeze(-1), slope * context, atol=0.15, rtol=0)


def test_a_tasks_data_do_not_move_the_head_of_another():
    learner = with_heads()
    before = {name: p.clone() for name, p in learner.theta.items()}
    data = TaskData(Task("first", {}, "first"), (), with_id(one_step_episodes(0, lambda c: c), 0))
    told: list[float] = []
    with heard_by(told.append):
        steps = learner.meta_update([data])["gradient_steps"]
    assert len(told) == steps > 0 and told == sorted(told) and told[-1] == 1.0
    for name, outputs in (("actor.w2", 2), ("critic.w2", 101)):
        moved = (learner.theta[name] != before[name]).flatten(0, -2).any(0)
        assert moved[:outputs].all() and not moved[outputs:].any()


def test_heads_without_ids_are_refused():
    learner = SAC(SPEC, dataclasses.replace(SMALL, heads=2), generator=torch_rng((0,)))
    with pytest.raises(UserError, match=r"heads=2 wants a one-hot id .* task 'x' shows"):
        learner.meta_update([TaskData(Task("x", {}), (), one_step_episodes(0, lambda c: c))])
    with pytest.raises(UserError, match="heads=3, and an observation has 2 numbers"):
        SAC(SPEC, dataclasses.replace(SMALL, heads=3), generator=torch_rng((0,)))


def test_a_batch_is_shared_by_failures_as_far_as_the_focus_says():
    success = torch.tensor([1.0, 0.5, 0.0, 0.5])
    assert focused_shares(success, focus=0.0).tolist() == [0.25] * 4
    torch.testing.assert_close(focused_shares(success, focus=1.0), torch.tensor([0.0, 0.25, 0.5, 0.25]))
    torch.testing.assert_close(focused_shares(success, focus=0.5), torch.tensor([0.125, 0.25, 0.375, 0.25]))
    torch.testing.assert_close(focused_shares(torch.ones(4), focus=0.5), torch.full((4,), 0.25))


def test_success_is_a_running_mean_of_last_steps():
    learner = SAC(SPEC, SMALL, generator=torch_rng((0,)))
    episodes = one_step_episodes(0, lambda c: c, count=2)
    episodes.success[0] = True
    learner.meta_update([TaskData(Task("", {}), (), episodes)])
    assert learner.success.tolist() == pytest.approx([0.09])  # 0.1, then 0.9 of it


def test_the_target_of_the_entropy_falls_over_the_updates_named():
    config = SACConfig(target_entropy=-1.0, early_entropy=-0.5, anneal_entropy_updates=10)
    assert [config.entropy_at(n) for n in (0, 5, 10, 99)] == [-0.5, -0.75, -1.0, -1.0]
    assert SACConfig(target_entropy=-1.0).entropy_at(0) == -1.0


def test_the_step_size_falls_over_the_updates_named_and_the_steps_with_it():
    config = SACConfig(lr=1e-3, last_lr=0.1, lr_falls_from=10, lr_falls_over=20)
    assert [config.lr_at(n) for n in (0, 10, 20, 30, 99)] == pytest.approx([1e-3, 1e-3, 5.5e-4, 1e-4, 1e-4])
    assert SACConfig(lr=1e-3).lr_at(1_000) == 1e-3

    def length_of_a_step(last_lr):
        config = dataclasses.replace(SMALL, last_lr=last_lr, lr_falls_from=0, lr_falls_over=1, replay_ratio=0.64)
        before = SAC(SPEC, config, generator=torch_rng((0,))).theta
        learner = learn(config, {"": (lambda c: c, 1.0)}, updates=1)
        assert learner.state_dict()["gradient_steps"] == 1
        return float((learner.theta["critic.w0"] - before["critic.w0"]).norm())

    assert length_of_a_step(0.25) == pytest.approx(0.25 * length_of_a_step(1.0), rel=1e-3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"return_scale": False},
            r"discounted returns up to \d.*, and the bins end at 100; set return_scale",
        ),
        ({"value_sign": "positive"}, "has rewards below 0.*take 'both'"),
    ],
)
def test_bins_that_do_not_reach_over_the_returns_are_told_once(setting, message):
    learner = SAC(SPEC, dataclasses.replace(SMALL, warmup_steps=4_000, **setting), generator=torch_rng((0,)))
    data = TaskData(Task("far", {}), (), one_step_episodes(0, lambda c: c, scale=100.0))
    with pytest.warns(UserWarning, match=message) as told:
        learner.meta_update([data])
        learner.meta_update([data])
    assert len(told) == 1


def test_bins_that_fit_say_nothing(recwarn):
    for config in (SMALL, dataclasses.replace(SMALL, return_scale=False, value="scalar")):
        learner = SAC(SPEC, dataclasses.replace(config, warmup_steps=4_000), generator=torch_rng((0,)))
        learner.meta_update([TaskData(Task("", {}), (), one_step_episodes(0, lambda c: c, scale=100.0))])
    assert not recwarn.list


def test_no_gradient_step_is_taken_before_the_warm_up_and_then_by_the_ratio():
    learner = SAC(SPEC, dataclasses.replace(SMALL, warmup_steps=500, replay_ratio=4), generator=torch_rng((0,)))
    steps = []
    for update in range(4):  # rows: two a step of an episode of one step
        data = TaskData(Task("", {}), (), one_step_episodes(update, lambda c: c, count=200))
        steps.append(learner.meta_update([data])["gradient_steps"])
    assert steps == [0.0, 6.0, 6.0, 6.0]  # 200 x 4 / 128 = 6.25, and the quarters add up later


def test_exploration_is_coloured_and_evaluation_is_not():
    behaviour = SAC(SPEC, SACConfig(), generator=torch_rng((0,))).behaviour()
    assert behaviour.explorer().noise_exponent == 1.0
    assert behaviour.actor().noise_exponent == 0.0
    assert behaviour.actor(deterministic=True).noise_dim == 0


def test_some_episodes_explore_more_than_the_policy_and_none_of_the_test_do():
    behaviour = SAC(SPEC, SACConfig(widest_noise=4.0), generator=torch_rng((0,))).behaviour()
    plain = SAC(SPEC, SACConfig(), generator=torch_rng((0,))).behaviour()
    seeds = [(7, episode) for episode in range(400)]
    wide, usual = ([next(draw_noise(b.explorer(), seed, 50)) for seed in seeds] for b in (behaviour, plain))
    factors = np.array([(a / b).mean() for a, b in zip(wide, usual, strict=True)])
    for a, b, factor in zip(wide, usual, factors, strict=True):
        np.testing.assert_allclose(a, factor * b, rtol=1e-5)  # one factor for the whole episode
    logs = np.log(factors) / np.log(4)
    assert 0 <= logs.min() and logs.max() <= 1
    assert kstest(logs, "uniform").pvalue > 0.01
    for seed in seeds[:5]:
        for actor in (behaviour.actor(), plain.actor()):
            np.testing.assert_array_equal(next(draw_noise(actor, seed, 50)), next(draw_noise(plain.actor(), seed, 50)))
        np.testing.assert_array_equal(next(draw_noise(behaviour.explorer(), seed, 50)), wide[seed[1]])


def test_actions_before_any_update_are_tanh_of_the_noise():
    actor = SAC(SPEC, SACConfig(), generator=torch_rng((0,))).behaviour().explorer()
    noise = torch.randn(50, 1, generator=torch_rng((1,)))
    none = torch.zeros(50)
    actions, _, _ = actor.act(None, ActorInput(torch.zeros(50, 2), none.unsqueeze(1), none, none.bool()), noise)
    torch.testing.assert_close(actions, torch.tanh(noise), atol=0.1, rtol=0)


def test_discrete_actions_are_refused_with_what_to_take():
    with pytest.raises(UserError, match="continuous actions, and this environment has 3 discrete ones; take maml"):
        SAC(EnvSpec(obs_dim=2, action_dim=3, discrete=True, horizon_steps=5), SACConfig(), generator=torch_rng((0,)))


def test_parameters_that_are_not_finite_are_an_error():
    with pytest.raises(NonFiniteError, match="lower lr=1e\\+30"):
        learn(dataclasses.replace(SMALL, lr=1e30, value="scalar"), {"": (lambda c: c, 1.0)}, updates=3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"target_step": 2.0}, "target_step"), ({"warmup_steps": -1}, "warmup_steps"), ({"gamma": 1.0}, "gamma")],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(SettingError, match=message):
        SACConfig(**setting)


def of_class(name, seed, *, count=200):
    return TaskData(Task(name, {}, name), (), one_step_episodes(seed, lambda c: c, count=count))


def test_fine_tuning_forgets_the_rows_of_former_tasks_and_keeps_the_nets():
    """The first batch of a class never met is one to warm up on: nothing but the replay changes."""
    learners = {}
    for former in ("keep", "forget"):
        config = dataclasses.replace(SMALL, former_tasks=former, warmup_steps=500)
        learner = learners[former] = SAC(SPEC, config, generator=torch_rng((0,)))
        for update in range(3):
            learner.meta_update([of_class("a", update)])
        before = {name: p.clone() for name, p in learner.theta.items() if not name.startswith("temperature")}
        assert learner.meta_update([of_class("b", 3)])["gradient_steps"] == 0  # 400 rows
        assert all(torch.equal(learner.theta[name], p) for name, p in before.items())
        assert learner.meta_update([of_class("b", 4)])["gradient_steps"] > 0
    assert (learners["keep"].replay.names, learners["keep"].replay.filled) == (["a", "b"], [1200, 800])
    assert (learners["forget"].replay.names, learners["forget"].replay.filled) == (["b"], [800])
    assert len(learners["forget"].return_scales) == len(learners["forget"].success) == 1


def test_a_class_is_explored_at_random_until_it_is_warmed_up():
    config = dataclasses.replace(SMALL, explore_anew=True, warmup_steps=300)
    learner = SAC(SPEC, config, generator=torch_rng((0,)))
    learner.meta_update([of_class("a", 0)])
    noise, none = torch.randn(50, 1, generator=torch_rng((1,))), torch.zeros(50)
    obs = torch.stack([torch.linspace(-1, 1, 50), torch.ones(50)], -1)

    def explored(name):
        explorer = explorer_of(learner.behaviour(), [Task("", {}, name)])
        return explorer.act(None, ActorInput(obs, none.unsqueeze(1), none, none.bool()), noise)[0]

    assert torch.equal(explored("b"), torch.tanh(noise))
    assert not torch.allclose(explored("a"), torch.tanh(noise), atol=0.1)
    learner.meta_update([of_class("b", 1, count=100)])  # 200 rows
    assert torch.equal(explored("b"), torch.tanh(noise))
    learner.meta_update([of_class("b", 2, count=100)])
    torch.testing.assert_close(explored("b"), explored("a"))
