"""What is refused when an experiment is built, before any worker starts."""

from __future__ import annotations

import numpy as np
import pytest

from metarl.agents.maml import MAMLConfig, maml
from metarl.agents.registry import AGENTS
from metarl.agents.rl2 import RL2, RL2Config
from metarl.envs.any_gym import GymTasks, Uniform
from metarl.envs.bandits import Bandits
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.experiment import RLExperiment, RLSettings
from metarl.experiments import experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.seeding import torch_rng

SMALL_MEMORY = RL2Config(hidden_dim=8)


def built(make, tasks, **pool) -> RLExperiment:
    settings = RLSettings(pool=PoolConfig(workers=0, **pool))
    return RLExperiment(tasks=tasks, make_learner=make, settings=settings)


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in ("sac", "pearl")])  # no discrete actions
def test_an_agent_for_other_spaces(name):
    def make():
        return AGENTS[name].make(Bandits().spec, torch_rng((0,)))

    built(make, Bandits()).close()
    with pytest.raises(UserError, match="10 discrete actions, and navigation has 2 and 2 continuous"):
        built(make, Navigation())


def test_a_memory_and_episodes_left_out():
    def memory():
        return RL2(Navigation().spec, SMALL_MEMORY, generator=torch_rng((0,)))

    with pytest.raises(UserError, match=r"keeps a memory.*take 'raise'"):
        built(memory, Navigation(), non_finite="drop_episode")
    built(
        lambda: maml(Navigation().spec, MAMLConfig(hidden=(8,)), generator=torch_rng((0,))),
        Navigation(),
        non_finite="drop_episode",
    ).close()


@pytest.mark.parametrize(("env", "measured"), [("Point", False), ("Success", True)])
def test_success_that_nobody_measures_is_not_logged_as_0(env: str, measured: bool):
    tasks = GymTasks(f"tests.envs.point_envs:{env}", vary={"goal": Uniform(-1, 1)}, horizon_steps=5)
    experiment = built(lambda: AGENTS["random"].make(tasks.spec, torch_rng((0,))), tasks)
    drawn = experiment.sample_tasks(2, rng=np.random.default_rng(0))
    metrics = experiment.batch_metrics(experiment.collect(drawn, seed=(0,)))
    experiment.close()
    assert metrics["return/post"] < 0
    assert metrics.get("success/post") == (0 if measured else None)


class NothingHeldOut(Navigation):
    def meta_test(self):
        return []


def test_no_held_out_tasks():
    tasks = NothingHeldOut()
    with pytest.raises(UserError, match="navigation has no held-out tasks"):
        built(lambda: AGENTS["random"].make(tasks.spec, torch_rng((0,))), tasks)


def test_the_config_of_another_agent():
    with pytest.raises(UserError, match="rl2 takes a RL2Config, not a MAMLConfig"):
        experiment_on(Navigation(), "rl2", agent_config=MAMLConfig())


def test_rl2_on_tasks_of_ones_own_is_tested_as_far_as_its_trials_go():
    config, _ = experiment_on(Navigation(), "rl2")
    rl, agent = config().rl, config().agent
    assert rl.evaluation.adaptation_episodes * rl.evaluation.adaptation_rounds + 1 == rl.query_episodes == 10
    assert 2 * rl.pool.lanes_per_group == config().trainer.meta_batch_size  # a trial is a lane, of two workers
    assert agent.normalize_inputs and agent.input_changes
    given = RLSettings(query_episodes=3)
    config, _ = experiment_on(Navigation(), "rl2", rl=given)
    assert config().rl == given


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"memory": "rnn"}, "memory='rnn' must be 'gru' or 'lstm' or 'attention'"),
        ({"episode_ends": "Cut"}, "did you mean 'cut'"),
        ({"memory": "attention", "hidden_dim": 30}, "hidden_dim=30 must be a multiple of 4"),
        ({"hidden_dim": 16.0}, "must be a whole number"),
        ({"init_std": 1e-4}, "init_std=0.0001 must be >= 0.001 and <= 10.0; raise it"),
    ],
)
def test_settings_that_no_memory_can_have(settings, said):
    with pytest.raises(ValueError, match=said):
        RL2Config(**settings)


@pytest.mark.parametrize("sizes", [(0,), (-5,), (8, 0)])
def test_layers_have_a_size(sizes):
    with pytest.raises(ValueError, match=r"hidden=.* must be >= 1"):
        MAMLConfig(hidden=sizes)


class Nameless:
    spec = Navigation().spec
    sample = meta_test = make_env = print


class Without:
    """An agent as far as somebody has come with it."""

    spec = Navigation().spec
    meta_update = state_dict = load_state_dict = print


class WithBehaviour(Without):
    prior = adapt = actor = print
    version = 0

    def behaviour(self):
        return self


def test_what_ones_own_tasks_or_agent_lack_is_told_before_a_run():
    with pytest.raises(UserError, match=r"the task distribution Nameless has no name; TaskDistribution in"):
        RLExperiment(tasks=Nameless(), make_learner=Without, settings=RLSettings())
    with pytest.raises(UserError, match=r"the agent Without has no behaviour; MetaLearner in"):
        RLExperiment(tasks=Navigation(), make_learner=Without, settings=RLSettings())
    with pytest.raises(UserError, match=r"behaviour WithBehaviour has no adaptation_rounds, no keeps_memory; RLBehav"):
        RLExperiment(tasks=Navigation(), make_learner=WithBehaviour, settings=RLSettings())
