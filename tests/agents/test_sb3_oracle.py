"""SB3 on one task: it learns, its curve is printed, and its saved policy acts in our collector as in SB3."""

from __future__ import annotations

import json

import pytest
import torch

from metarl.agents.sb3_oracle import OracleConfig, train_oracle
from metarl.agents.sb3_policy import read_sb3_policy
from metarl.cli.main import main
from metarl.envs.bandits import Bandits
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.rollout.actor import PolicyActor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool

SMALL = ["--env-steps", "128", "--eval-every-env-steps", "64", "--eval-episodes", "2"]


def test_the_command_prints_the_curve_and_saves_a_policy_that_our_collector_runs(tmp_path, capsys):
    out, saved = tmp_path / "curve.json", tmp_path / "model.zip"
    arguments = ["oracle", "navigation_maml", "--task", "3", *SMALL, "--json", str(out), "--save", str(saved)]
    assert main(arguments) == 0
    content = json.loads(out.read_text())
    assert [point["env_steps"] for point in content["curve"]] == [0, 64, 128]
    assert "128" in capsys.readouterr().out
    task = Navigation().meta_test()[3]
    assert content["task"]["id"] == task.id
    policy, params = read_sb3_policy(saved)
    with RolloutPool(Navigation(), PoolConfig(workers=0)) as pool:
        jobs = [RolloutJob(task=task, phi=params, num_episodes=1, seed=(0, 0))]
        (episodes,) = pool.collect(jobs, PolicyActor(policy, deterministic=True))
    # navigation is deterministic, and clips actions as SB3 does: the same return as SB3's own evaluation
    assert float(episodes.returns_undiscounted()) == pytest.approx(content["curve"][-1]["mean_return"], rel=1e-4)


@pytest.mark.parametrize("algorithm", ["ours", "plain"])
def test_our_sac_prints_the_same_curve_and_keeps_no_zip(algorithm, tmp_path, capsys):
    out = tmp_path / "curve.json"
    arguments = ["oracle", "navigation_maml", "--algorithm", algorithm, "--env-steps", "300", "--json", str(out)]
    assert main([*arguments, "--eval-every-env-steps", "100", "--eval-episodes", "2"]) == 0
    steps = [point["env_steps"] for point in json.loads(out.read_text())["curve"]]
    assert steps[0] == 0 and steps[-1] >= 300 and steps == sorted(steps)  # episodes are whole
    assert "our SAC" in capsys.readouterr().out
    assert main([*arguments, "--save", str(tmp_path / "x.zip")]) == 2


def test_bad_arguments_are_errors_before_any_training(capsys):
    assert main(["oracle", "navigation_maml", "--task", "200"]) == 2
    assert "0..199" in capsys.readouterr().err
    assert main(["oracle", "navigation_maml", "--env-steps", "0"]) == 2
    with pytest.raises(UserError, match="continuous actions"):
        next(train_oracle(Bandits(), Bandits().meta_test()[0], OracleConfig(algorithm="sac")))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm, env_steps", [("ppo", 60_000), ("sac", 10_000)])
def test_sb3_learns_a_single_goal(algorithm, env_steps):
    torch.set_num_threads(1)
    task = Navigation().meta_test()[0]
    config = OracleConfig(algorithm=algorithm, env_steps=env_steps, eval_every_env_steps=env_steps // 2)
    points = [point for point, _ in train_oracle(Navigation(), task, config)]
    assert points[-1].mean_return > 0.5 * points[0].mean_return  # the return is minus a distance
