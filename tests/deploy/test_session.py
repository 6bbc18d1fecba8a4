"""A session against the rollout pool, which acts by the same seeds: the same actions, episodes and phi, to the bit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metarl.agents.registry import AGENTS
from metarl.deploy.agent import Agent, load
from metarl.envs.bandits import Bandits
from metarl.envs.navigation import Navigation
from metarl.errors import NonFiniteError, UserError
from metarl.learner import ActorInput
from metarl.rollout.collect import collect_episodes
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.runs.checkpoint import load_latest, save_checkpoint
from metarl.types import Episodes, Task, join_episodes_of_task
from tests.agents.test_contract import small as small_agent
from tests.rollout.envs import Scripted

SEED = (5, 3, 0)
LANE = np.array([0])


class Robot:
    """One lane of a task distribution as what a robot's driver sees: reset and step, one episode after another."""

    def __init__(self, tasks: Any, task: Any, seed: tuple[int, ...] = SEED) -> None:
        self._env, self._task, self._seed, self._episode = tasks.make_env(1), task, seed, 0
        self._horizon, self._steps = tasks.spec.horizon_steps, 0

    def reset(self) -> np.ndarray:
        obs = self._env.reset(LANE, [self._task], [(*self._seed, self._episode, 0)])[0].copy()
        self._episode, self._steps = self._episode + 1, 0
        return obs

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        step = self._env.step(LANE, np.asarray(action)[None])
        self._steps += 1
        truncated = bool(step.truncated[0]) or self._steps == self._horizon
        info = {"success": bool(step.success[0])}
        return step.obs[0].copy(), float(step.rewards[0]), bool(step.terminated[0]), truncated, info


def live(session: Any, robot: Robot, episodes: int) -> None:
    for _ in range(episodes):
        obs, ended = robot.reset(), False
        while not ended:
            obs, reward, terminated, truncated, info = robot.step(session.act(obs))
            session.observe(obs, reward, terminated, truncated, info)
            ended = terminated or truncated


def of(session: Any) -> Episodes:
    return join_episodes_of_task(session._episodes)


def check_equal(found: Episodes, expected: Episodes) -> None:
    for name, value in vars(expected).items():
        torch.testing.assert_close(vars(found)[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("tasks", [Navigation(), Bandits(arms=3, pulls=5)], ids=["navigation", "bandits"])
def test_it_acts_as_the_rollout_workers_do(name: str, tasks: Any) -> None:
    if name in ("sac", "pearl") and tasks.spec.discrete:
        pytest.skip(f"{name} has no discrete actions")
    behaviour = small_agent(name)(tasks.spec, 0).behaviour()
    task, session = tasks.meta_test()[0], Agent(behaviour, tasks).session(seed=(*SEED, 0))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        is_learning = session.is_learning
        (expected,) = collect_episodes(
            pool,
            behaviour,
            [task],
            [behaviour.prior()],
            num_episodes=3,
            seed=SEED,
            deterministic=not session.is_sampled,
            exploring=is_learning,
        )
    robot = Robot(tasks, task, (*SEED, 0))
    if is_learning:
        live(session, robot, 3)
        # side by side, as gradient agents' episodes are collected, one product serves them all: it may round otherwise
        found, close = of(session), not behaviour.keeps_memory
        for field, value in vars(expected).items():
            tolerance = 2e-5 if close else 0
            torch.testing.assert_close(vars(found)[field], value, rtol=tolerance, atol=tolerance, msg=field)
        torch.testing.assert_close(session._adapted(), behaviour.adapt([behaviour.prior()], [found])[0], rtol=0, atol=0)
    else:
        obs = robot.reset()
        for step in range(5):
            action = session.act(obs)
            wanted = expected.actions[0, step].numpy()
            np.testing.assert_allclose(action, np.clip(wanted, -1, 1) if not tasks.spec.discrete else wanted, atol=1e-6)
            obs, *_ = robot.step(action)
            if not expected.mask[0, min(step + 1, tasks.spec.horizon_steps - 1)]:
                break


@pytest.fixture
def maml() -> Agent:
    tasks = Navigation()
    return Agent(small_agent("maml")(tasks.spec, 0).behaviour(), tasks)


def test_adapt_takes_the_step_and_then_acts_by_the_mean(maml: Agent) -> None:
    session, robot = maml.session(seed=(*SEED, 0)), Robot(maml.tasks, maml.tasks.meta_test()[0], (*SEED, 0))
    live(session, robot, 4)
    expected = maml.behaviour.adapt([maml.behaviour.prior()], [of(session)])[0]
    assert session.adapt() == 4
    torch.testing.assert_close(session.phi, expected, rtol=0, atol=0)
    assert not session.is_learning and not session.is_sampled
    obs = np.array([0.1, -0.2], np.float32)
    mean = maml.behaviour.actor(deterministic=True)
    inputs = ActorInput(torch.from_numpy(obs[None]), torch.zeros(1, 2), torch.zeros(1), torch.zeros(1).bool())
    actions, _, _ = mean.act(mean.start([expected], 1), inputs, torch.zeros(1, 0))
    np.testing.assert_array_equal(session.act(obs), actions.numpy()[0].clip(-1, 1))
    np.testing.assert_array_equal(session.act(obs), session.act(obs))  # nothing need be observed any more


@pytest.mark.parametrize("name", ["maml", "pearl"])
def test_more_rounds_than_in_training_if_they_are_asked_for(name: str, tmp_path: Path) -> None:
    tasks = Navigation()
    behaviour = small_agent(name)(tasks.spec, 0).behaviour()
    assert behaviour.adaptation_rounds == 1
    agent = Agent(behaviour, tasks)
    session, robot = agent.session(seed=SEED, rounds=2), Robot(tasks, tasks.meta_test()[0], SEED)
    phi = behaviour.prior()
    for num_episodes in (1, 2):
        assert session.is_learning and session.is_sampled
        live(session, robot, num_episodes)
        phi = behaviour.adapt([phi], [of(session)])[0]
        assert session.adapt() == num_episodes
        session.save(tmp_path / "robot")
        session = agent.session(adapted=tmp_path / "robot", seed=SEED, rounds=2)
    torch.testing.assert_close(session.phi, phi, rtol=0, atol=0)
    assert not session.is_learning and not session.is_sampled
    with pytest.raises(UserError, match=r"again after 2 of 2 rounds, .* make the session with rounds=3 or more"):
        session.adapt()


def test_a_memory_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    tasks = Bandits(arms=3, pulls=5)
    agent = Agent(small_agent("rl2")(tasks.spec, 0).behaviour(), tasks)
    robot = Robot(tasks, tasks.meta_test()[0])
    session = agent.session(seed=SEED)
    live(session, robot, 12)  # more than are kept
    session.save(tmp_path / "robot")
    again = agent.session(adapted=tmp_path / "robot", seed=SEED)
    assert again.num_episodes == 12
    obs = robot.reset()
    for _ in range(5):
        action = session.act(obs)
        assert again.act(obs) == action
        step = robot.step(action)
        session.observe(*step)
        again.observe(*step)
    torch.testing.assert_close(again._adapted(), session._adapted(), rtol=1e-5, atol=1e-6)


def test_episodes_that_were_not_learned_from_are_saved_too(maml: Agent, tmp_path: Path) -> None:
    session, robot = maml.session(seed=SEED), Robot(maml.tasks, maml.tasks.meta_test()[0])
    live(session, robot, 3)
    session.save(tmp_path)
    again = maml.session(adapted=tmp_path)
    assert (session.adapt(), again.adapt()) == (3, 3)
    torch.testing.assert_close(again.phi, session.phi, rtol=0, atol=0)


def test_an_episode_longer_than_in_training_draws_new_noise() -> None:
    tasks = Navigation()
    agent = Agent(small_agent("multi_task_ppo")(tasks.spec, 0).behaviour(), tasks)
    session, obs = agent.session(sampled=True), np.zeros(2, np.float32)
    actions = np.array([session.act(obs) for _ in range(2 * tasks.spec.horizon_steps)])
    first, second = np.split(actions, 2)
    assert np.unique(first[:, 0]).size > 40
    assert not np.array_equal(first, second)


def test_a_far_horizon_is_as_long_as_its_episodes() -> None:
    """A session's arrays grow as the rollout's do, and its noise is the rollout's."""
    tasks, task = Scripted(discrete=True, horizon_steps=10**12), Task("long", {"lengths": [3, 1500]})
    behaviour = small_agent("rl2")(tasks.spec, 0).behaviour()
    session, robot = Agent(behaviour, tasks).session(seed=(*SEED, 0)), Robot(tasks, task, (*SEED, 0))
    live(session, robot, 2)
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        (expected,) = collect_episodes(pool, behaviour, [task], [behaviour.prior()], num_episodes=2, seed=SEED)
    check_equal(of(session), expected)


@pytest.mark.parametrize("name", ["maml", "rl2", "sac", "pearl"])
def test_an_episode_that_is_dropped_has_not_been(name: str) -> None:
    tasks = Navigation()
    agent = Agent(small_agent(name)(tasks.spec, 0).behaviour(), tasks)
    dropped, other = (agent.session(seed=SEED, sampled=True) for _ in range(2))
    robots = [Robot(tasks, tasks.meta_test()[0]) for _ in range(2)]
    assert dropped.drop_episode() == 0
    for session, robot in zip((dropped, other), robots, strict=True):
        live(session, robot, 1)
    obs = np.array([0.3, -0.1], np.float32)
    for step in range(4):
        dropped.act(obs + step)
        if step < 3:
            dropped.observe(obs, -1.0, False)
    assert dropped.drop_episode() == (3 if dropped.is_learning else 4) and not dropped.in_episode
    for session, robot in zip((dropped, other), robots, strict=True):
        live(session, robot, 2)
    if dropped.is_learning:
        check_equal(of(dropped), of(other))
    np.testing.assert_array_equal(dropped.act(obs), other.act(obs))


@pytest.mark.parametrize("name", ["maml", "rl2"])
def test_an_episode_goes_on_behind_the_horizon_until_it_is_ended(name: str) -> None:
    tasks = Bandits(arms=3, pulls=5)
    session = Agent(small_agent(name)(tasks.spec, 0).behaviour(), tasks).session()
    for step in range(12):
        session.observe(np.zeros(1), 0.1 * session.act(np.zeros(1)), False, step == 11)
        assert session.in_episode == (step < 11)
    session.observe(np.zeros(1), float(session.act(np.zeros(1))), True)
    assert session.num_episodes == 2 and of(session).mask.sum(1).tolist() == [12, 1]
    assert session.adapt() == 2


def test_arguments_that_do_not_suit_are_said_in_sentences(maml: Agent) -> None:
    asked: list[dict[str, Any]] = [{"sampled": "yes"}, {"task": "3"}, {"task": 3}, {"task": [3]}, {"seed": "one"}]
    said = ["sampled='yes' must be True", *["shown no task and finds it out"] * 2, "a held-out task's number", "whole"]
    asked += [{"rounds": 0}, {"rounds": True}, {"rounds": 1.5}]
    said += ["rounds=0 must be a whole number >= 1", "rounds=True must be", "rounds=1.5 must be"]
    for arguments, words in zip(asked, said, strict=True):
        with pytest.raises(UserError, match=words):
            maml.session(**arguments)
    session = maml.session()
    for obs in ("abc", {"position": 1}):
        with pytest.raises(UserError, match="which is not made of 2 numbers"):
            session.act(obs)
    session.act(np.zeros(2))
    with pytest.raises(UserError, match="info='success' must be a dict"):
        session.observe(np.zeros(2), 0.0, False, False, "success")


def test_a_session_is_saved_over_its_own_kind_alone(maml: Agent, tmp_path: Path) -> None:
    session = maml.session()
    assert repr(maml) == f"Agent({type(maml.behaviour).__name__} on navigation)"
    assert repr(session).endswith("0 episodes, 0 rounds of adaptation, learning)")
    for _ in range(2):
        session.save(tmp_path / "mine")
    other = Agent(small_agent("pearl")(maml.spec, 0).behaviour(), maml.tasks).session()
    with pytest.raises(UserError, match="holds the adapted policy of another agent; give another --out"):
        other.save(tmp_path / "mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is a run directory"):
        session.save(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_what_is_no_run_is_said() -> None:
    with pytest.raises(UserError, match="run=3 must be a run directory or zoo:NAME"):
        load(3)  # type: ignore[arg-type]


def test_what_is_wrong_is_said_in_sentences(maml: Agent, tmp_path: Path) -> None:
    session, obs = maml.session(), np.zeros(2, np.float32)
    with pytest.raises(UserError, match="before an episode had ended"):
        session.adapt()
    with pytest.raises(UserError, match="observe was called before act"):
        session.observe(obs, 0.0, False)
    with pytest.raises(UserError, match="has 3 numbers and must have 2"):
        session.act(np.zeros(3))
    with pytest.raises(NonFiniteError, match="number 1 of an observation is nan"):
        session.act(np.array([0.0, np.nan]))
    session.act(obs)
    with pytest.raises(UserError, match="twice without observe"):
        session.act(obs)
    with pytest.raises(NonFiniteError, match="reward=nan"):
        session.observe(obs, float("nan"), False)
    with pytest.raises(NonFiniteError, match="reward='1' must be"):
        session.observe(obs, "1", False)
    for reward in (None, "a"):
        with pytest.raises(NonFiniteError, match="must be a finite number"):
            session.observe(obs, reward, False)
    with pytest.raises(UserError, match="terminated='no' must be True or False"):
        session.observe(obs, 1.0, "no")  # any text is true
    session.observe(obs, 1.0, False)  # the refused ones have left no trace
    with pytest.raises(UserError, match=r"at step 1 of an episode"):
        session.adapt()
    with pytest.raises(UserError, match=r"at step 1 of an episode"):
        session.save(tmp_path)
    with pytest.raises(UserError, match="holds no adapted policy"):
        maml.session(adapted=tmp_path)
    rl2 = Agent(small_agent("rl2")(maml.spec, 0).behaviour(), maml.tasks)
    rl2.session().save(tmp_path / "rl2")
    with pytest.raises(UserError, match="of another agent"):
        maml.session(adapted=tmp_path / "rl2")
    frozen = Agent(small_agent("multi_task_ppo")(maml.spec, 0).behaviour(), maml.tasks)
    with pytest.raises(UserError, match="does not adapt"):
        frozen.session().adapt()
    with pytest.raises(UserError, match="rounds=2: this agent does not adapt from whole episodes"):
        frozen.session(rounds=2)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("obs", torch.zeros(1, 100, 3), r"obs is torch.float32 of shape (1, 100, 3) and must be float32 of"),
        ("obs", torch.zeros(1, 100, 2).double(), "obs is torch.float64"),
        ("actions", torch.zeros(1, 100), "actions is"),
        ("rewards", torch.full((1, 100), torch.inf), "rewards holds a NaN or an infinity"),
        ("mask", torch.ones(100).bool(), "mask has shape (100,)"),
        ("mask", torch.ones(1, 7).bool(), "and must be float32 of shape (1, 7, 2)"),
        ("last_obs", torch.zeros(3, 2), "last_obs is"),
        ("last_obs", 1.0, "what was saved is damaged"),
    ],
)
def test_episodes_of_another_shape_are_refused_before_anything_learns_from_them(
    maml: Agent, tmp_path: Path, field: str, value: Any, said: str
) -> None:
    session = maml.session(seed=SEED)
    live(session, Robot(maml.tasks, maml.tasks.meta_test()[0]), 1)
    session.save(tmp_path / "own")
    state, _ = load_latest(tmp_path / "own")
    state["episodes"][0][field] = value
    save_checkpoint(tmp_path / "theirs", 0, state, keep=1)
    with pytest.raises(UserError, match=re.escape(said)):
        maml.session(adapted=tmp_path / "theirs")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phi": {"w0": "os:system"}}, "w0 is no tensor but a str"),
        ({"episodes": [{"obs": "x"}]}, "what was saved is damaged"),
        ({"episodes": "abc"}, "what was saved is damaged"),
        ({"record": ["rounds"]}, "what was saved is damaged"),
        ({"record": {"rounds": "x"}}, "what was saved is damaged"),
        ({"record": {"episodes": -1}}, "what was saved is damaged"),
        ({"record": {"episodes": 10**30}}, "what was saved is damaged"),
    ],
)
def test_what_a_stranger_saved_ends_in_a_sentence(maml: Agent, tmp_path: Path, change: dict, said: str) -> None:
    maml.session().save(tmp_path / "own")
    state, _ = load_latest(tmp_path / "own")
    changed = {name: {**state[name], **value} if name == "phi" else value for name, value in change.items()}
    save_checkpoint(tmp_path / "theirs", 0, {**state, **changed}, keep=1)
    with pytest.raises(UserError, match=said):
        maml.session(adapted=tmp_path / "theirs")
