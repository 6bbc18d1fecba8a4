"""An exported policy in its own runtime against a session's: the same actions to 1e-5."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from metarl.agents.rl2 import RL2, RL2Config
from metarl.deploy.agent import Agent
from metarl.deploy.export import TOLERANCE, Exported, exported, write
from metarl.envs.bandits import Bandits
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.rl.off_policy.squashed_policy import SquashedBehaviour, SquashedPolicy
from metarl.seeding import torch_rng
from metarl.types import EnvSpec
from tests.agents.test_contract import small as small_agent
from tests.deploy.test_session import Robot, live

ARMS = Bandits(arms=3, pulls=5)
SEED = (4, 0)


@pytest.fixture(autouse=True)
def quiet_exporter():
    """Its log's level is the process's."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    yield
    logger.setLevel(level)


def agent_with(memory: Any, tasks: Any) -> Agent:
    config = RL2Config(memory=memory, hidden_dim=16)
    return Agent(RL2(tasks.spec, config, generator=torch_rng((0,))).behaviour(), tasks)


def run(path: Path) -> Any:
    """As on a robot: NumPy, onnxruntime and the JSON file."""
    about = json.loads(path.with_suffix(".json").read_text())
    policy = onnxruntime.InferenceSession(str(path))
    inputs = {name: np.asarray(v, about["inputs"][name]["dtype"]) for name, v in about["first"].items()}

    def act(obs: np.ndarray, reward: float, ended: bool, first: bool) -> np.ndarray:
        inputs["obs"] = obs[None].astype(np.float32)
        if not first and "state" in inputs:
            inputs["prev_reward"], inputs["prev_ended"] = np.float32([reward]), np.array([ended])
        action, *state = policy.run(None, inputs)
        if state:
            inputs["state"], inputs["prev_action"] = state[0], action
        return action[0]

    return act


@pytest.mark.parametrize("name", ["maml", "sac", "multi_task_ppo"])
def test_a_policy_without_memory_in_onnx_runtime(name: str, tmp_path: Path) -> None:
    tasks = Navigation()
    agent = Agent(small_agent(name)(tasks.spec, 0).behaviour(), tasks)
    session = agent.session(seed=SEED)
    if session.adapts:
        live(session, Robot(tasks, tasks.meta_test()[0]), 3)
        session.adapt()
    policy = exported(agent.behaviour, session.phi)
    assert write(policy, tmp_path / "policy.onnx") < TOLERANCE
    act = run(tmp_path / "policy.onnx")
    for obs in np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32):
        np.testing.assert_allclose(act(obs, 0.0, False, True).clip(-1, 1), session.act(obs), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("memory", "tasks"), [("gru", Navigation()), ("lstm", ARMS), ("attention", Navigation())], ids=lambda x: str(x)[:9]
)
def test_a_memory_goes_in_and_out(memory: Any, tasks: Any, tmp_path: Path) -> None:
    """From a memory that has lived through an episode, so that the transition before the first step counts too."""
    agent, robot = agent_with(memory, tasks), Robot(tasks, tasks.meta_test()[0])
    session = agent.session(sampled=False, seed=SEED)
    live(session, robot, 1)
    session.save(tmp_path / "memory")
    session = agent.session(adapted=tmp_path / "memory", sampled=False)
    assert write(exported(agent.behaviour, session.phi), tmp_path / "policy.onnx") < TOLERANCE
    act = run(tmp_path / "policy.onnx")
    obs, reward, ended = robot.reset(), 0.0, False
    for step in range(8):
        wanted = session.act(obs)
        found = act(obs, reward, ended, step == 0)
        np.testing.assert_allclose(found if tasks.spec.discrete else found.clip(-1, 1), wanted, atol=TOLERANCE)
        obs, reward, terminated, truncated, info = robot.step(wanted)
        session.observe(obs, reward, terminated, truncated, info)
        ended = terminated or truncated
        obs = robot.reset() if ended else obs


def test_noise_is_an_input_where_actions_are_sampled(tmp_path: Path) -> None:
    tasks = Navigation()
    behaviour = small_agent("maml")(tasks.spec, 0).behaviour()
    policy = exported(behaviour, behaviour.prior(), sampled=True)
    assert write(policy, tmp_path / "policy.pt2") < TOLERANCE
    module = torch.export.load(tmp_path / "policy.pt2").module()
    obs, still, noise = torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([[1.0, -2.0]])
    std = behaviour.prior()["log_std"].exp()
    torch.testing.assert_close(module(obs, noise) - module(obs, still), std * noise)
    assert json.loads((tmp_path / "policy.json").read_text())["noise"] == "N(0, 1)"


def test_what_is_shown_of_a_task_is_part_of_the_function() -> None:
    tasks = Navigation()
    behaviour = small_agent("sac")(tasks.spec, 0).behaviour()
    whole, part = exported(behaviour, {}), exported(behaviour, {}, shown=[0.5])
    obs = torch.tensor([[0.3, 0.5]])
    torch.testing.assert_close(part.module(obs[:, :1]), whole.module(obs), rtol=0, atol=0)
    assert part.first["obs"].shape == (1, 1)


def test_a_head_for_each_task_is_chosen_by_the_id(tmp_path: Path) -> None:
    policy = SquashedPolicy(obs_dim=5, action_dim=2, hidden=(8,), heads=3)
    theta = policy.init(torch.Generator().manual_seed(0))
    theta = {
        name: p + 0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) for name, p in theta.items()
    }
    spec = EnvSpec(obs_dim=5, action_dim=2, horizon_steps=10)
    behaviour = SquashedBehaviour(spec=spec, policy=policy, theta=theta, version=0)
    assert write(exported(behaviour, {}), tmp_path / "policy.onnx") < TOLERANCE
    act = run(tmp_path / "policy.onnx")
    for task in np.eye(3, dtype=np.float32):
        obs = np.concatenate([np.array([0.3, -0.2], np.float32), task])
        wanted = policy.dist(theta, torch.from_numpy(obs).unsqueeze(0)).mode()[0]
        np.testing.assert_allclose(act(obs, 0.0, False, True), wanted, atol=TOLERANCE)


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    tasks = Navigation()
    behaviour = small_agent("random")(tasks.spec, 0).behaviour()
    with pytest.raises(UserError, match="acts at random"):
        exported(behaviour, behaviour.prior())
    maml = small_agent("maml")(tasks.spec, 0).behaviour()
    with pytest.raises(UserError, match=r"must end in \.onnx or \.pt2"):
        write(exported(maml, maml.prior()), tmp_path / "policy.bin")


class Branches(nn.Module):
    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return obs if float(obs.sum()) > 0 else -obs


class Bessel(nn.Module):
    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(obs)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Branches(), r"cannot be traced by torch.export \(test_export.py, line \d+\): .*compute with tensors alone"),
        (Bessel(), r"for ONNX \(it has no prims.bessel_j0\); write that part otherwise, or give --out policy.pt2"),
    ],
)
def test_the_part_that_cannot_be_exported_is_named(module: nn.Module, said: str, tmp_path: Path, capfd) -> None:
    policy = Exported(module, {"obs": torch.zeros(1, 2)}, ("action",), None)
    with pytest.raises(UserError, match=said):
        write(policy, tmp_path / "policy.onnx")
    assert not any(tmp_path.iterdir()) and not capfd.readouterr().err


def test_a_policy_that_cannot_be_written_leaves_no_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    behaviour = small_agent("multi_task_ppo")(Navigation().spec, 0).behaviour()
    with pytest.raises(UserError, match="needs onnx and onnxscript"):
        write(exported(behaviour, behaviour.prior()), tmp_path / "a" / "policy.onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_place_that_cannot_be_written_is_said_and_an_earlier_export_stays(
    suffix: str, tmp_path: Path, monkeypatch
) -> None:
    behaviour = small_agent("maml")(Navigation().spec, 0).behaviour()
    policy = exported(behaviour, behaviour.prior())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*policy.*; give another --out"):
        write(policy, tmp_path / "file" / f"policy{suffix}")
    place = tmp_path / f"policy{suffix}"
    place.write_bytes(b"earlier")
    monkeypatch.setattr("metarl.deploy.export._difference", lambda policy, run: 1.0)
    with pytest.raises(UserError, match="would differ from torch by 1, more than 1e-05; not written"):
        write(policy, place)
    assert place.read_bytes() == b"earlier" and sorted(x.name for x in tmp_path.iterdir()) == ["file", place.name]
