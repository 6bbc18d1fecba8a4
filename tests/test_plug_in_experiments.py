"""Plug-in experiments: any agent on any tasks, in a file of a few lines, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.runs.log import read_metrics

SMALL = [
    *("--iterations", "2", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2"),
]
OWN_ENV = '''"""My own env."""
import gymnasium as gym, numpy as np
from metarl.envs.any_gym import GymTasks, Uniform
from metarl.experiments import experiment_on
from metarl.experiment import RLSettings
from metarl.rollout.pool import PoolConfig

class Thrower(gym.Env):
    observation_space = gym.spaces.Box(-10, 10, (1,))
    action_space = gym.spaces.Box(0, 5, (1,))

    def __init__(self, wind=0.0):
        self.wind = wind

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x, {}

    def step(self, action):
        return self.x, -abs(float(action[0]) + self.wind - 2.0), False, False, {}

config, build = experiment_on(GymTasks(Thrower, vary={"wind": Uniform(-2, 2)}, horizon_steps=5), AGENT)
'''


def test_a_users_own_env_trains_in_workers_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = tmp_path / "thrower.py"
    experiment.write_text(OWN_ENV.replace("AGENT", "'maml'"))
    out = tmp_path / "run"
    assert main(["train", str(experiment), "--out", str(out), "--workers", "2", *SMALL]) == 0
    (adapt,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  metarl adapt"))
    assert main(adapt.split()[1:]) == 0  # as it was said
    assert len(read_metrics(out / "metrics.jsonl")) == 2
    stored = json.loads((out / "config.json").read_text())
    assert "wind" in json.dumps(stored)
    assert main(["evaluate", str(out), "--trust", "--workers", "0"]) == 0  # so the config came back from its JSON


def test_an_experiment_of_ones_own_shows_what_its_run_has_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`show_run` is called with the run's directory, once its other files are there."""
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = tmp_path / "showing_thrower.py"
    showing = """
plain = build

def build(config):
    experiment = plain(config)
    experiment.show_run = lambda run: print(f"it has {(run / 'evaluation.json').is_file()}: {run.name}")
    return experiment
"""
    experiment.write_text(OWN_ENV.replace("AGENT", "'maml'") + showing)
    out = tmp_path / "shown"
    assert main(["train", str(experiment), "--out", str(out), "--workers", "0", "--no-report", *SMALL]) == 0
    assert "it has True: shown" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_users_own_env_is_adapted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: -5.9 before one gradient step and -2.6 after it; the untrained policy stays at -8.8."""
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = tmp_path / "thrower_slow.py"
    experiment.write_text(OWN_ENV.replace("AGENT", "'maml'"))
    run = tmp_path / "run"
    assert main(["train", str(experiment), "--out", str(run), "--workers", "0", "--iterations", "60"]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    before, after = (point["mean"] for point in policies["meta-trained"]["summary"]["stochastic"]["return"])
    untrained = policies["untrained"]["summary"]["stochastic"]["return"][1]["mean"]
    assert after > before + 2 and after > untrained + 3


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_cartpole_is_adapted_to(tmp_path: Path) -> None:
    """Measured after 16 updates: 45 steps before, 196 after two gradient steps, untrained 53."""
    run = tmp_path / "run"
    assert main(["train", "cartpole_maml", "--out", str(run), "--iterations", "16", "--seed", "1"]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    before, _, after = (point["mean"] for point in policies["meta-trained"]["summary"]["stochastic"]["return"])
    untrained = policies["untrained"]["summary"]["stochastic"]["return"][2]["mean"]
    assert after > before + 80 and after > untrained + 80


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_pendulum_is_adapted_to(tmp_path: Path) -> None:
    """Measured after 40 updates: -996 before and -813 after one gradient step in training; untrained -1229."""
    run = tmp_path / "run"
    assert main(["train", "pendulum_maml", "--out", str(run), "--iterations", "40", "--seed", "1"]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    before, after = (point["mean"] for point in policies["meta-trained"]["summary"]["stochastic"]["return"])
    untrained = policies["untrained"]["summary"]["stochastic"]["return"][1]["mean"]
    assert after > before + 100 and after > untrained + 200


@pytest.mark.parametrize("agent", ["'rl2'", "'random'"])
def test_other_agents_on_the_same_tasks(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = tmp_path / f"thrower_{agent.strip(chr(39))}.py"
    experiment.write_text(OWN_ENV.replace("AGENT", agent))
    assert main(["train", str(experiment), "--out", str(tmp_path / "run"), "--workers", "0", *SMALL]) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("AGENT", "'mamml'"), "unknown agent 'mamml' (did you mean 'maml'?)"),
        (('vary={"wind"', 'vary={"wnid"'), "neither a constructor keyword nor an attribute 'wnid'"),
        (("Uniform(-2, 2)", "Uniform(2, 2)"), "Uniform(2, 2) is empty"),
        (("GymTasks(Thrower,", "GymTasks(lambda wind: Thrower(wind),"), "cannot be pickled"),
        (
            ("False, False, {}", "False, {}"),
            "step returned 4 values instead of (obs, reward, terminated, truncated, info)",
        ),
        (("AGENT)", "AGENT, rl=RLSettings(pool=PoolConfig(workers=1.5)))"), "workers=1.5 must be a whole number"),
        (
            ("horizon_steps=5)", "horizon_steps=5, kwargs={'wind': (1, 2)})"),
            "kwargs.wind=(1, 2) would come back from config.json as [1, 2]; give numbers",
        ),
        (
            ("horizon_steps=5", "num_test_tasks=5"),
            "is a class or function, without a time limit; give horizon_steps",
        ),
    ],
)
def test_faults_of_an_experiment_file_are_one_line(
    change: tuple[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = tmp_path / f"faulty_{abs(hash(change))}.py"
    experiment.write_text(OWN_ENV.replace(*change).replace("AGENT", "'maml'"))
    assert main(["train", str(experiment), "--out", str(tmp_path / "run"), "--workers", "2", *SMALL]) == 2
    errors = capsys.readouterr().err
    assert said in errors and len(errors.strip().splitlines()) == 1
