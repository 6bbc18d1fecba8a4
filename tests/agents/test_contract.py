"""What every agent must keep to; a new one is covered by its line in agents/registry.py."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from metarl.agents.registry import AGENTS as REGISTRY
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.learn.gradient_learner import GradientLearner
from metarl.learner import KeepsReplay
from metarl.rl.policies import MAX_STD
from metarl.rollout.collect import collect_episodes, collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.seeding import torch_rng

SMALL = {
    "hidden": (8, 8),
    "hidden_dim": 8,
    "actor_hidden": (8, 8),
    "critic_hidden": (8, 8),
    "batch_size": 32,
    "encoder_hidden": (8, 8),
    "tasks_per_step": 4,
    "rows_per_task": 8,
    "replay_ratio": 0.5,
    "replay_capacity": 2_000,
    "warmup_steps": 0,
}
"""Settings of those agents that have them."""

CPU = torch.device("cpu")


def small(name, **config):
    """A registered agent with small layers, and with other settings than its own."""
    entry = REGISTRY[name]
    fields = {field.name for field in dataclasses.fields(entry.config)}
    settings = {n: value for n, value in SMALL.items() if n in fields}
    return lambda spec, seed, device=CPU: entry.build(
        spec, dataclasses.replace(entry.config, **settings, **config), generator=torch_rng((seed,)), device=device
    )


AGENTS = {name: small(name) for name in REGISTRY} | {
    "maml 2 steps": small("maml", inner_steps=2),
    "meta_sgd 2 steps": small("meta_sgd", inner_steps=2, per_step=True),
    "e_maml 2 steps": small("e_maml", inner_steps=2),
    "promp 2 steps": small("promp", inner_steps=2),
    "reptile 2 steps": small("reptile", inner_steps=2),
}
BASELINES = {
    "random": (),
    "multi_task_ppo": ("learns",),
    "sac": ("learns",),
    "from_scratch": ("adapts",),
    "fine_tune": ("learns", "adapts"),
}
"""What each does, in meta_update and in adapt; all other agents do both."""
WITH_REPLAY = ["sac", "pearl"]
"""Learn from earlier batches as well."""
LEARNING = [name for name in AGENTS if "learns" in BASELINES.get(name, ("learns",))]
ADAPTING = [name for name in AGENTS if "adapts" in BASELINES.get(name, ("adapts",))]
WITHOUT_SUPPORT = ["rl2", *BASELINES]
"""Their meta-batches hold query episodes alone; `random` has a support set for form's sake."""
WITH_MEMORY = ["rl2"]
"""Their trials hold their own adaptation; phi is a memory, which may forget, and sees rewards as they are."""
FAST_WEIGHTS = [name for name in ADAPTING if name not in WITH_MEMORY]
BY_ADVANTAGES = [name for name in FAST_WEIGHTS if name != "pearl"]
"""A belief is told from rewards as they are."""
TASKS = Navigation()
FAR_APART = [
    task for task in TASKS.sample(30, rng=np.random.default_rng(0)) if min(map(abs, task.params["goal"])) > 0.25
][:3]


@pytest.fixture(scope="module")
def pool():
    with RolloutPool(TASKS, PoolConfig(workers=0, lanes_per_group=100)) as pool:
        yield pool


def learner_of(name, seed=0):
    return AGENTS[name](TASKS.spec, seed)


def config_of(learner):
    return learner.problem.config if isinstance(learner, GradientLearner) else learner.config


def support_of(pool, learner, *, seed=(3,)):
    phis = [learner.behaviour().prior()] * len(FAR_APART)
    return phis, collect_episodes(pool, learner.behaviour(), FAR_APART, phis, num_episodes=4, seed=seed)


def batch_of(pool, learner, *, seed=(5,)):
    return collect_meta_batch(pool, learner.behaviour(), FAR_APART, support_episodes=4, query_episodes=3, seed=seed)


def snapshot(state):
    """Bytes of everything in a state dict."""
    if isinstance(state, dict):
        return {name: snapshot(value) for name, value in state.items()}
    return state.detach().numpy().tobytes() if isinstance(state, torch.Tensor) else state


def flat(phi):
    return torch.cat([p.reshape(-1) for p in phi.values()]) if phi else torch.zeros(0)


@pytest.mark.parametrize("name", AGENTS)
def test_adapt_has_no_side_effect(pool, name):
    learner = learner_of(name)
    phis, supports = support_of(pool, learner)
    before = snapshot(learner.state_dict()), [snapshot(vars(s)) for s in supports], snapshot(phis[0])
    first, second = learner.behaviour().adapt(phis, supports), learner.behaviour().adapt(phis, supports)
    assert (
        snapshot(learner.state_dict()),
        [snapshot(vars(s)) for s in supports],
        snapshot(phis[0]),
    ) == before
    assert [snapshot(phi) for phi in first] == [snapshot(phi) for phi in second]
    assert not any(p.requires_grad for phi in first for p in phi.values())


@pytest.mark.parametrize("name", [name for name in LEARNING if name not in WITH_REPLAY])  # sac's depends on the state
@pytest.mark.parametrize("side", [-1, 1])
def test_an_update_brings_log_std_back_into_its_range(pool, name, side):
    """A step too long, or an old checkpoint, has taken it there: below min_std, or above MAX_STD."""
    learner = learner_of(name)
    batch = batch_of(pool, learner)
    low, high = math.log(config_of(learner).min_std), math.log(MAX_STD)
    learner.theta = learner.theta | {"log_std": torch.full((2,), low - 2 if side < 0 else high + 2)}
    learner.meta_update(batch)
    assert (learner.theta["log_std"] >= low - 1e-6).all() and (learner.theta["log_std"] <= high + 1e-6).all()


@pytest.mark.parametrize("name", ADAPTING)
def test_adapt_differs_from_task_to_task(pool, name):
    learner = learner_of(name)
    phis, supports = support_of(pool, learner)
    adapted = learner.behaviour().adapt(phis, supports)
    vectors = [flat(phi) for phi in (learner.behaviour().prior(), *adapted)]
    for i in range(len(vectors)):
        for j in range(i):
            assert (vectors[i] - vectors[j]).abs().max() > 1e-3
    alone = [learner.behaviour().adapt([phi], [support])[0] for phi, support in zip(phis, supports, strict=True)]
    for together, own in zip(adapted, alone, strict=True):
        torch.testing.assert_close(flat(together), flat(own), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", FAST_WEIGHTS)
def test_adapt_goes_on_from_each_tasks_own_phi(pool, name):
    learner = learner_of(name)
    phis, supports = support_of(pool, learner)
    once = learner.behaviour().adapt(phis, supports)
    shuffled = [once[1], once[0], once[2]]
    twice = learner.behaviour().adapt(shuffled, supports)
    for task in range(3):
        (own,) = learner.behaviour().adapt([shuffled[task]], [supports[task]])
        torch.testing.assert_close(flat(twice[task]), flat(own), atol=1e-5, rtol=1e-4)
    assert (flat(twice[0]) - flat(learner.behaviour().adapt(once, supports)[0])).abs().max() > 1e-4


@pytest.mark.parametrize("name", AGENTS)
def test_meta_update_is_deterministic_and_a_saved_state_goes_on_alike(pool, name, tmp_path):
    """Two updates in one go equal an update, a checkpoint, another process's learner, and an update."""
    learner = learner_of(name)
    first, second = batch_of(pool, learner), batch_of(pool, learner, seed=(6,))
    learner.meta_update(first)
    saved = save_checkpoint(tmp_path, 1, learner.state_dict())
    metrics = learner.meta_update(second)
    again = learner_of(name, seed=1)  # starts from other numbers
    again.load_state_dict(load_checkpoint(saved))
    if isinstance(again, KeepsReplay):
        again.remember([first])
    assert again.meta_update(second) == metrics
    assert snapshot(again.state_dict()) == snapshot(learner.state_dict())
    assert all(np.isfinite(value) for value in metrics.values())
    third = batch_of(pool, learner, seed=(7,))
    assert snapshot(vars(batch_of(pool, again, seed=(7,))[0].query)) == snapshot(vars(third[0].query))


@pytest.mark.parametrize("name", LEARNING)
def test_meta_update_changes_theta(pool, name):
    learner = learner_of(name)
    before = snapshot(learner.state_dict())
    metrics = learner.meta_update(batch_of(pool, learner))
    assert metrics["meta_step_accepted"] == 1
    assert snapshot(learner.state_dict()) != before


def broken(episodes, kind):
    if kind == "masked":
        return dataclasses.replace(
            episodes, **{f: torch.zeros_like(getattr(episodes, f)) for f in ("mask", "rewards", "obs")}
        )
    rewards = episodes.rewards.clone()
    rewards[1, 2] = float(kind)
    return dataclasses.replace(episodes, rewards=rewards)


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("kind", ["nan", "inf", "masked"])
def test_unusable_data_is_an_error_that_leaves_theta_alone(pool, name, kind):
    """A UserError, so that the command line shows one sentence."""
    learner = learner_of(name)
    phis, supports = support_of(pool, learner)
    batch = batch_of(pool, learner)
    before = snapshot(learner.state_dict())
    supports[1] = broken(supports[1], kind)
    with pytest.raises(UserError, match="no step to adapt on" if kind == "masked" else "NaN or infinity"):
        learner.behaviour().adapt(phis, supports)
    damages = [{"query": broken(batch[2].query, kind)}]
    if batch[2].supports:
        damages.append({"supports": (*batch[2].supports[:-1], broken(batch[2].supports[-1], kind))})
    for damaged in (dataclasses.replace(batch[2], **damage) for damage in damages):
        with pytest.raises(UserError):
            learner.meta_update([*batch[:2], damaged])
    assert snapshot(learner.state_dict()) == before


@pytest.mark.parametrize("name", [name for name in LEARNING if name not in WITH_REPLAY])  # sac learns to be random
def test_constant_rewards_teach_nothing_and_break_nothing(pool, name):
    learner = learner_of(name)
    batch = batch_of(pool, learner)

    def constant(episodes):
        return dataclasses.replace(episodes, rewards=torch.zeros_like(episodes.rewards))

    before = snapshot(learner.state_dict()["theta"])
    metrics = learner.meta_update(
        [
            dataclasses.replace(data, supports=tuple(constant(s) for s in data.supports), query=constant(data.query))
            for data in batch
        ]
    )
    assert metrics.get("rejected_no_improvement", 1) == 1
    assert all(np.isfinite(value) for value in metrics.values())
    assert snapshot(learner.state_dict()["theta"]) == before


@pytest.mark.parametrize("name", BY_ADVANTAGES)
def test_huge_rewards_are_only_a_scale(pool, name):
    """Advantages are standardised: 1e20 times the reward gives the same phi."""
    learner = learner_of(name)
    phis, supports = support_of(pool, learner)
    scaled = [dataclasses.replace(s, rewards=s.rewards * 1e20) for s in supports]
    for plain, huge in zip(
        learner.behaviour().adapt(phis, supports), learner.behaviour().adapt(phis, scaled), strict=True
    ):
        torch.testing.assert_close(flat(huge), flat(plain), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", LEARNING)
def test_a_state_of_another_shape_is_refused_by_name(name):
    learner, other = learner_of(name), learner_of(name)
    state = other.state_dict()
    state["theta"] = state["theta"] | {"w0": torch.zeros(3, 8)}
    before = snapshot(learner.state_dict())
    with pytest.raises(UserError, match="w0"):
        learner.load_state_dict(state)
    assert snapshot(learner.state_dict()) == before


@pytest.mark.parametrize("name", REGISTRY)
def test_registered_agents_are_made_with_their_defaults(name):
    """From the generator alone: the same one gives the same theta."""
    first, second = (REGISTRY[name].make(TASKS.spec, torch_rng((0,))) for _ in range(2))
    assert snapshot(first.state_dict()) == snapshot(second.state_dict())
    assert REGISTRY[name].description


@pytest.mark.parametrize("name", AGENTS)
def test_a_meta_batch_has_a_support_for_each_round(pool, name):
    learner = learner_of(name)
    for data in batch_of(pool, learner):
        assert len(data.supports) == learner.behaviour().adaptation_rounds
    without = name in WITHOUT_SUPPORT and name != "random"
    assert learner.behaviour().adaptation_rounds == (2 if "2 steps" in name else 0 if without else 1)
