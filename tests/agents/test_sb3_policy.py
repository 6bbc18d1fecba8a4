"""SB3 zips: the same actions as SB3 itself, and nothing in the file is ever run."""

from __future__ import annotations

import io
import os
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC

from metarl.agents.sb3_policy import read_sb3_policy, read_sb3_tensors
from metarl.errors import UserError
from metarl.rl.policies import CategoricalMLP, GaussianMLP


def saved(tmp_path, cls, env_id, **kwargs):
    model = cls("MlpPolicy", gym.make(env_id), seed=0, device="cpu", **kwargs)
    model.save(tmp_path / "model.zip")
    return model, tmp_path / "model.zip"


def with_policy(tmp_path, content):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy.pth", content)
    return path


def test_every_tensor_is_the_one_that_sb3_saved(tmp_path):
    model, path = saved(tmp_path, PPO, "Pendulum-v1", policy_kwargs={"net_arch": [16, 8]})
    tensors = read_sb3_tensors(path)
    expected = model.policy.state_dict()
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def test_a_gaussian_policy_acts_as_in_sb3(tmp_path):
    model, path = saved(tmp_path, PPO, "Pendulum-v1", policy_kwargs={"net_arch": [16, 8], "log_std_init": -0.5})
    policy, params = read_sb3_policy(path)
    assert isinstance(policy, GaussianMLP) and policy.hidden == (16, 8)
    obs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    dist = policy.dist(params, obs)
    theirs = model.policy.get_distribution(obs).distribution
    torch.testing.assert_close(dist.mode(), theirs.mean.detach())
    actions = torch.randn(7, 1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(dist.log_prob(actions), theirs.log_prob(actions).sum(-1).detach())


def test_a_categorical_policy_acts_as_in_sb3(tmp_path):
    model, path = saved(tmp_path, A2C, "CartPole-v1")
    policy, params = read_sb3_policy(path)
    assert isinstance(policy, CategoricalMLP)
    obs = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    ours = policy.dist(params, torch.from_numpy(obs)).mode().numpy()
    np.testing.assert_array_equal(ours, model.predict(obs, deterministic=True)[0])


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = io.BytesIO()
    torch.save({"w": Bomb()}, content)
    with pytest.raises(UserError, match="not an SB3 zip of tensors alone") as refused:
        read_sb3_tensors(with_policy(tmp_path, content.getvalue()))
    assert "mkdir" in str(refused.value.__cause__)
    assert not (tmp_path / "exploded").exists()


def test_damaged_and_foreign_files_are_errors_with_a_sentence(tmp_path):
    _, path = saved(tmp_path, PPO, "Pendulum-v1")
    whole = path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    for bad in (tmp_path / "cut.zip", tmp_path / "absent.zip", with_policy(tmp_path, b"not a torch archive")):
        with pytest.raises(UserError, match="zip"):
            read_sb3_policy(bad)
    _, sac = saved(tmp_path, SAC, "Pendulum-v1", buffer_size=10)
    with pytest.raises(UserError, match="no actor with an action_net"):
        read_sb3_policy(sac)


def test_a_tensor_outside_its_storage_is_refused(tmp_path):
    content = io.BytesIO()
    torch.save({"w": torch.zeros(4)}, content)
    with zipfile.ZipFile(content) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    shorter = io.BytesIO()
    with zipfile.ZipFile(shorter, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data[:8] if name.endswith("data/0") else data)
    with pytest.raises(UserError, match="damaged"):
        read_sb3_tensors(with_policy(tmp_path, shorter.getvalue()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"policy_kwargs": {"activation_fn": torch.nn.ReLU}}, "layers of .*ReLU"), ({"use_sde": True}, "use_sde")],
)
def test_a_net_that_only_looks_like_ours_is_refused(tmp_path, settings, said):
    _, path = saved(tmp_path, PPO, "Pendulum-v1", **settings)
    with pytest.raises(UserError, match=said):
        read_sb3_policy(path)
