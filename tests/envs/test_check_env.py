"""check-env: what it says of good environments and of each kind of bad one."""

from __future__ import annotations

import sys
import textwrap
import types

import pytest

from metarl.cli.main import main
from metarl.envs import check_env
from metarl.envs.check_env import check
from metarl.envs.first_episodes import roll, roll_elsewhere
from tests.envs.point_envs import Point

HERE = "tests.envs.gym_envs"
POINTS = "tests.envs.point_envs"


@pytest.fixture(autouse=True)
def short_checks(monkeypatch):
    """A tenth of the steps and resets: what is looked for shows in the first. No other process: it takes seconds."""
    for function, value in ((check_env._stays_finite, 60), (check_env._keeps_its_size, 10), (check_env._speed, 50)):
        monkeypatch.setattr(function, "__defaults__", (value,))
    monkeypatch.setattr(check_env, "roll_elsewhere", lambda tasks, task: roll(tasks.make_env(1), tasks.spec, task))


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
        (
            "GoalOutside",
            "gymnasium's rules",
            "reset raised ValueError: goal is outside the workspace (gym_envs",
        ),
        ("NoReward", "gymnasium's rules", "the reward of step is None"),
        ("NoSpace", "gymnasium's rules", "its observation_space is None"),
        ("SharedBuffer", "buffers", "return a copy"),
        ("NaNLater", "numbers", "NaN or infinity in obs or reward"),
        ("RemembersEpisodes", "gymnasium's rules", "depends on the one before it"),
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


OWN_FILE = """from metarl.envs.any_gym import GymTasks, LogUniform, Uniform
from metarl.experiments import experiment_on
config, build = experiment_on(GymTasks({arguments}, horizon_steps=20))
"""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (f"'{POINTS}:DrawsOver', vary={{'goal': Uniform(-1, 1), 'unread': Uniform(0, 1)}}", "unread"),
        (f"'{POINTS}:DrawsOver', vary={{'goal': Uniform(-1, 1), 'start': Uniform(0, 1)}}", "start"),
    ],
)
def test_a_name_without_effect_beside_one_that_has_is_said(arguments, name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"without_{name}.py").write_text(OWN_FILE.format(arguments=arguments))
    status, text = said(str(tmp_path / f"without_{name}.py"))["tasks"]
    assert status == "fix" and text.startswith(f"{name} had no effect: another value alone gave the same episode")


def test_an_episode_that_depends_on_the_process_is_said(monkeypatch) -> None:
    monkeypatch.setattr(check_env, "roll_elsewhere", roll_elsewhere)
    status, text = said(f"{POINTS}:LuckOfTheProcess")["workers"]
    assert status == "fix" and text.startswith("another process gives another episode for the same seed; let nothing")


def test_an_env_that_workers_do_not_know_is_said(monkeypatch) -> None:
    here = types.ModuleType("only_here")
    vars(here)["Point"] = Point
    monkeypatch.setitem(sys.modules, "only_here", here)
    monkeypatch.setattr(check_env, "roll_elsewhere", roll_elsewhere)
    status, text = said("only_here:Point")["workers"]
    assert status == "fix" and "it does not work in a worker process: env 'only_here:Point': module 'only_here'" in text


@pytest.mark.parametrize("env", ["Pendulum-v1", f"{HERE}:OwnTasks", f"{HERE}:Walk", "Hopper-v5"])
def test_the_experiment_file_that_is_printed_trains(env: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    main(["check-env", env])
    printed = capsys.readouterr().out.partition("`metarl train my_tasks.py`:\n")[2]
    file = tmp_path / f"tasks_{env.rpartition(':')[2].partition('-')[0].lower()}.py"
    file.write_text(textwrap.dedent(printed))
    found = said(str(file))
    assert found["spaces"][1] == said(env)["spaces"][1] and found["tasks"] == (
        "ok",
        "they differ in reward or dynamics under the same actions",
    )
    small = ["--iterations", "1", "--meta-batch-size", "2", "--query-episodes", "2", "--max-tasks", "1"]
    small += ["--test-episodes", "1", "--adaptation-rounds", "1", "--workers", "0", "--horizon-steps", "5"]
    assert main(["train", str(file), *small, "--hidden-dim", "8", "--out", str(tmp_path / "run")]) == 0


def test_an_env_without_a_limit_is_told_what_training_asks_for() -> None:
    for env, steps, seen in (
        (f"{HERE}:Walk", 10, "each of 4 episodes of random actions ended after 10 steps"),
        (f"{POINTS}:metarl-tests/NoLimit-v0", 200, "an episode of random actions has not ended after 1000 steps"),
        ("gymnasium.envs.classic_control.cartpole:CartPoleEnv", 200, "a trained policy's may last longer"),
    ):
        found = said(env)
        assert f"at most {steps} steps" in found["spaces"][1]
        assert seen in found["horizon"][1] and f"give GymTasks(..., horizon_steps={steps})" in found["horizon"][1]
        assert f"horizon_steps={steps})" in found["tasks"][1]
    assert "horizon" not in said("Pendulum-v1")


def test_the_command_says_ok_or_exits_with_2(capsys) -> None:
    assert main(["check-env", "navigation"]) == 0
    assert "nothing to fix" in capsys.readouterr().out
    assert main(["check-env", f"{HERE}:SharedBuffer"]) == 2
    assert "buffers: a step overwrites" in capsys.readouterr().out
    assert main(["check-env", "Pendulun-v1"]) == 2
    assert "did you mean 'Pendulum-v1'" in capsys.readouterr().out
