"""check-env: what it says of good environments and of each kind of bad one."""

from __future__ import annotations

import pytest

from metarl.cli.main import main
from metarl.envs import check_env
from metarl.envs.check_env import check

HERE = "tests.envs.gym_envs"


@pytest.fixture(autouse=True)
def short_checks(monkeypatch):
    """A tenth of the steps and resets: what is looked for shows in the first."""
    for function, value in ((check_env._stays_finite, 60), (check_env._keeps_its_size, 10), (check_env._speed, 50)):
        monkeypatch.setattr(function, "__defaults__", (value,))


def said(name: str) -> dict[str, tuple[str, str]]:
    return {finding.what: (finding.status, finding.sentence) for finding in check(name)}


@pytest.mark.parametrize("name", ["Pendulum-v1", "navigation", "cheetah-vel-pearl-v0", f"{HERE}:make_walk"])
def test_nothing_to_mend(name: str) -> None:
    found = said(name)
    assert all(status != "fix" for status, _ in found.values()), found
    assert {"spaces", "seed", "buffers", "numbers", "memory", "speed", "gymnasium's checker"} <= set(found)


def test_the_share_outside_the_physics_is_told() -> None:
    assert "outside the physics" in said("hopper-params-v0")["speed"][1]
    assert "no MuJoCo physics was found" in said("Pendulum-v1")["speed"][1]


def test_an_env_without_tasks_is_given_a_line_to_start_from() -> None:
    assert 'vary={"g": Uniform(5, 15)}' in said("Pendulum-v1")["tasks"][1]
    assert "own_tasks=True" in said(f"{HERE}:OwnTasks")["tasks"][1]
    assert 'model={"body_mass"' in said("Hopper-v5")["tasks"][1]


@pytest.mark.parametrize(
    ("name", "what", "sentence"),
    [
        ("OldStep", "gymnasium's rules", "step returned 4 values"),
        ("OldReset", "gymnasium's rules", "reset returned one ndarray"),
        ("IgnoresSeed", "gymnasium's rules", "ignores its seed"),
        ("Outside", "gymnasium's rules", "outside its observation_space"),
        ("GoalOutside", "gymnasium's rules", "reset raised ValueError: goal is outside the workspace; fix the env"),
        ("NoReward", "gymnasium's rules", "the reward of step is None"),
        ("NoSpace", "gymnasium's rules", "its observation_space is None"),
        ("SharedBuffer", "buffers", "return a copy"),
        ("NaNLater", "numbers", "NaN or infinity in obs or reward"),
        ("RemembersEpisodes", "seed", "depends on the one before it"),
    ],
)
def test_what_is_to_mend_is_said(name: str, what: str, sentence: str) -> None:
    status, text = said(f"{HERE}:{name}")[what]
    assert status == "fix" and sentence in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("GlobalTasks", "sample_tasks gave other tasks for an equal generator"),
        ("TasksItRefuses", "set_task raised RuntimeError"),
    ],
)
def test_own_tasks_that_cannot_be_used_are_said(name: str, sentence: str) -> None:
    to_fix = [finding for finding in check(f"{HERE}:{name}") if finding.status == "fix"]
    assert [finding.what for finding in to_fix] == ["tasks"] and sentence in to_fix[0].sentence


def test_tasks_that_do_not_differ_are_said(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "same_tasks.py").write_text(
        "from metarl.envs.any_gym import GymTasks, Uniform\nfrom metarl.experiments import experiment_on\n"
        f"config, build = experiment_on(GymTasks('{HERE}:SameTasks', vary={{'speed': Uniform(0.1, 0.2)}}, "
        "horizon_steps=5))\n"
    )
    status, text = said(str(tmp_path / "same_tasks.py"))["tasks"]
    assert status == "fix" and "nothing to adapt to" in text


def test_the_command_says_ok_or_exits_with_2(capsys) -> None:
    assert main(["check-env", "navigation"]) == 0
    assert "nothing to fix" in capsys.readouterr().out
    assert main(["check-env", f"{HERE}:SharedBuffer"]) == 2
    assert "buffers: a step overwrites" in capsys.readouterr().out
    assert main(["check-env", "Pendulun-v1"]) == 2
    assert "did you mean 'Pendulum-v1'" in capsys.readouterr().out
