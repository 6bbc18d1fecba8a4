"""The benches run and their JSON holds what their tables show."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from metarl.cli.main import main
from metarl.envs.metaworld.fast.bench import physics_start
from metarl.envs.metaworld.names import TASK_NAMES
from metarl.errors import UserError
from metarl.experiments.bench._in_envpool import POLICIES, envpool_id, physics_us
from metarl.experiments.bench._metaworld_page import ALIGNMENT, MARKED, TABLES, filled_in, page_path, stored_records
from metarl.experiments.bench._other_python import answered, python_with
from metarl.experiments.bench._vector_envs import started
from metarl.experiments.bench.alignment import is_aligned
from metarl.experiments.bench.memory import Arguments, task_change_memory
from metarl.experiments.bench.rollout import Arguments as Rollout
from metarl.experiments.bench.rollout import _metaworld_vector


def test_bench_metaworld(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "metaworld", "--tasks", "reach-v3", "--steps", "20", "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    (row,) = content["tasks"]
    assert row["task"] == "reach-v3" and row["speedup"] == pytest.approx(row["metaworld_us"] / row["fast_us"])
    assert content["mean"]["fast_us"] == pytest.approx(row["fast_us"])
    assert "reach-v3" in capsys.readouterr().out


@pytest.mark.slow
def test_bench_rollout_puts_the_pool_well_before_gymnasiums_async(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    two_groups = ["--lanes-per-group", "20"]  # one a worker: in one group of all episodes the other would be idle
    assert main(["bench", "rollout", "--repeats", "1", "--episodes", "4", *two_groups, "--json", str(out)]) == 0
    rates = json.loads(out.read_text())["median_steps_per_second"]
    # measured on a quiet machine: 10 and 3.4; a busy one is worse for the many processes of async
    assert rates["metarl pool, fast stepping"] > 4 * rates["gymnasium async"]
    assert rates["metarl pool, metaworld's stepping"] > 1.8 * rates["gymnasium async"]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cheetah-vel-pearl-v0", "ant-dir-pearl-v0"])
def test_robots_are_sampled_faster_than_by_vector_envs_and_near_their_physics(family: str, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    more = ["--repeats", "1", "--episodes", "20", "--lanes-per-group", "100", "--hidden", "100", "100"]
    assert main(["bench", "rollout", "--tasks", family, *more, "--json", str(out)]) == 0
    rates = json.loads(out.read_text())["median_steps_per_second"]
    ours = rates["metarl pool"]
    assert ours > 2 * rates["gymnasium async"] and ours > 2 * rates["SB3 subproc"]
    assert ours > 0.5 * rates["bare physics"]  # 0.7 and more on a quiet machine


@pytest.mark.thorough
def test_bench_rollout_on_any_registered_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    small = ["--meta-batch-size", "2", "--episodes", "2", "--repeats", "1", "--workers", "0", "--hidden", "8"]
    assert main(["bench", "rollout", "--tasks", "reacher-goal-v0", *small, "--json", str(out)]) == 0
    rates = json.loads(out.read_text())["median_steps_per_second"]
    assert set(rates) == {"metarl pool", "bare physics", "gymnasium async", "gymnasium sync", "SB3 subproc"}
    assert all(rate > 0 for rate in rates.values())
    assert main(["bench", "rollout", "--tasks", "reacher"]) == 2
    assert "did you mean 'reacher-goal-v0'" in capsys.readouterr().err


@pytest.mark.thorough
def test_bench_rollout_puts_the_pool_on_ray_beside_its_processes(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--meta-batch-size", "2", "--episodes", "2", "--repeats", "1", "--workers", "1", "--hidden", "8"]
    command = ["bench", "rollout", "--against", "ray", "--tasks", "reacher-goal-v0", *small, "--json", str(out)]
    subprocess.run([sys.executable, "-m", "metarl", *command], check=True)  # importing Ray changes sys.path
    rates = json.loads(out.read_text())["median_steps_per_second"]
    assert set(rates) == {"metarl pool, processes", "metarl pool, ray"} and all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize(
    ("tasks", "size", "said"),
    [
        ("ml10", 4, "of each of the 10 classes, at most 50; give a multiple of 10 up to 500"),
        ("ml1", 51, "of 1 up to 50"),
    ],
)
def test_a_batch_that_metaworlds_envs_cannot_be_is_refused(tasks: str, size: int, said: str, capsys) -> None:
    assert main(["bench", "rollout", "--tasks", tasks, "--meta-batch-size", str(size)]) == 2
    assert said in capsys.readouterr().err


def test_a_batch_need_not_divide_the_goals() -> None:
    envs = _metaworld_vector(Rollout(meta_batch_size=3), "sync", 3)
    assert envs.num_envs == 3
    envs.close()


class Losing:
    """Vector envs whose first `losses` starts lose a process at the reset, as SB3 tells it."""

    def __init__(self, losses: int) -> None:
        self.losses, self.starts = losses, 0

    def __call__(self) -> Losing:
        self.starts += 1
        return self

    def reset(self) -> str:
        if self.starts <= self.losses:
            raise ConnectionResetError(104, "Connection reset by peer")
        return "obs"


def test_vector_envs_that_lose_a_process_at_their_start_are_started_again_and_it_is_said() -> None:
    make = Losing(1)
    with pytest.warns(RuntimeWarning, match=r"SB3 subproc lost a process .*ConnectionResetError, try 1 of 3.* again"):
        assert started("SB3 subproc", make) == (make, "obs")
    assert make.starts == 2
    always = Losing(99)
    with (
        pytest.warns(RuntimeWarning, match="is started again") as warned,
        pytest.raises(UserError, match=r"SB3 subproc lost a process at its start .*try 3 of 3.*traceback is above"),
    ):
        started("SB3 subproc", always)
    assert always.starts == 3 and len(warned) == 2


@pytest.mark.thorough
def test_bench_memory(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--benchmark", "ML10", "--meta-batch-size", "2", "--episodes", "1", "--task-changes", "10"]
    small += ["--starts", "1", "--workers", "1"]
    assert main(["bench", "memory", *small, "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert 0.1 < content["largest_process_gb"] <= content["all_processes_gb"] < 6
    assert content["seconds_to_first_step"] > 0


@pytest.mark.slow
def test_memory_is_flat_over_two_thousand_task_changes() -> None:
    figures = task_change_memory(Arguments(benchmark="ML45"))
    assert abs(figures["growth"]) < 0.05 and figures["after_task_changes_gb"] < 3


@pytest.mark.thorough
def test_bench_scaling(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--workers", "1", "2", "--groups", "2", "--lanes", "2", "--seconds", "0.4"]
    assert main(["bench", "scaling", *small, "--json", str(out)]) == 0
    one, two = json.loads(out.read_text())["rows"]
    assert one["efficiency"] == pytest.approx(1) and one["seconds"] >= 0.8  # two groups, one after the other
    assert two["seconds"] < 1.6  # four groups, in half the time of one worker
    assert 0 < two["parent_seconds_per_group"] < 0.1


def test_bench_update(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--tasks", "2", "--episodes", "1", "--hidden-dim", "8", "--repeats", "1"]
    assert main(["bench", "update", *small, "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    for agent in ("MAML", "RL2"):
        assert content[agent]["seconds"] > 0
        assert all(seconds > 0 for seconds in content[agent]["stages"].values())  # each stage was found


def test_bench_alignment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    small = ["--steps", "20", "--episodes", "1", "--goals", "1", "--workers", "0", "--json", str(out)]
    assert main(["bench", "alignment", "--tasks", "reach-v3", *small]) == 0
    (task,) = json.loads(out.read_text())["tasks"]
    assert task["expert"] == {"ours": 1, "metaworlds": 1, "same_step": 1, "goals": 1}
    assert {(row["rewards"], row["goal"], row["actions"]) for row in task["compared"]} == {
        *(("v1", "hidden", actions) for actions in ("random", "expert", "mixed")),
        *(("v2", "hidden", actions) for actions in ("random", "expert", "mixed")),
        ("v2", "shown", "mixed"),
    }
    assert all(row["steps"] == 20 for row in task["compared"])
    assert "0 of 1" in capsys.readouterr().out  # tasks in which a hidden goal is seen


@pytest.mark.parametrize(
    ("value", "wrong"),
    [("reward", 1e-8), ("reset", float("nan")), ("flags", 1), ("same_step", 2)],
)
def test_a_task_that_differs_anywhere_is_not_aligned(value: str, wrong: float) -> None:
    compared = {"reset": 0.0, "observation": 0.0, "reward": 1e-15, "info": 1e-12, "flags": 0}
    expert = {"ours": 3, "metaworlds": 3, "same_step": 3, "goals": 3}
    assert is_aligned({"compared": [compared, compared], "expert": expert})
    of_wrong = [{**part, value: wrong} if value in part else part for part in (compared, expert)]
    assert not is_aligned({"compared": [compared, of_wrong[0]], "expert": of_wrong[1]})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alignment", "--steps", "501"], "--steps 501 is more than an episode has; give 500 at most"),
        (["alignment", "--tasks", "reech-v3"], "did you mean 'reach-v3'"),
        (["alignment", "--tasks", "reach-v3", "--write"], "a page of all 50 tasks; leave out --tasks"),
        (["metaworld", "--write"], "EnvPool's times and samplers with it; add --against envpool"),
        (["metaworld", "--write", "--against", "envpool", "--sampler-steps", "0"], "give --sampler-steps"),
        (["alignment", "--workers", "-1"], "--workers -1 must be >= 0"),
    ],
)
def test_what_the_page_of_metaworld_cannot_be_made_of_is_refused(words: list[str], said: str, capsys) -> None:
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_stored_alignment_is_of_all_tasks_and_exact() -> None:
    tasks = stored_records()[ALIGNMENT]["tasks"]
    assert [task["task"] for task in tasks] == list(TASK_NAMES)
    assert all(is_aligned(task) for task in tasks)


def test_the_page_of_metaworld_is_that_of_its_records() -> None:
    text = page_path().read_text()
    assert filled_in(text, stored_records()) == text, "docs/metaworld.md is stale: run `metarl results`"
    marks = {match["name"] for match in MARKED.finditer(text)}
    assert marks == set(TABLES)
    emptied = filled_in(text, {})
    assert emptied.count("Not measured yet: `metarl bench") == len(marks)
    assert filled_in(emptied, stored_records()) == text
    with pytest.raises(UserError, match="no table is called 'sped'; mark one of alignment"):
        filled_in("<!--table sped-->\n<!--end of table-->", {})


def test_a_folder_that_is_no_virtual_environment_of_ours_is_left_alone(tmp_path: Path) -> None:
    pins = ("pip==0.0.1",)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(UserError, match="mine holds something else than a virtual environment; name a new"):
        python_with(pins, tmp_path / "mine")
    venv.create(tmp_path / "theirs")
    with pytest.raises(UserError, match=r"theirs is a virtual environment without pip==0\.0\.1; name another folder"):
        python_with(pins, tmp_path / "theirs")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"


def test_what_cannot_be_installed_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nmkdir -p $3/half\necho 'ERROR: No matching distribution' >&2\necho bye >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(UserError, match=r"nowhere==1\.0 cannot be installed for Python 3.*No matching.*--against"):
        python_with(("nowhere==1.0",), tmp_path / "folder" / "made")
    assert not list((tmp_path / "folder").iterdir())


def test_a_script_answers_under_another_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import json, sys\nprint('a library says hello')\nprint(json.dumps(1 + json.load(sys.stdin)))")
    assert answered(Path(sys.executable), script, 2) == 3
    with pytest.raises(UserError, match=r"script.py failed under .*TypeError.*remove that folder"):
        answered(Path(sys.executable), script, "two")


def test_envpools_names() -> None:
    assert envpool_id("button-press-topdown-wall-v3") == "MetaWorld/ButtonPressTopdownWall-v3"


def test_the_physics_of_a_step_are_timed_from_plain_data() -> None:
    """As EnvPool's interpreter does, here under our own mujoco."""
    start = json.loads(json.dumps(physics_start("reach-v3", steps=20)))
    assert len(start["controls"]) == 20
    assert 5 < physics_us(start) < 5000


def test_the_policy_of_the_samplers_is_the_same_everywhere_and_within_the_bounds() -> None:
    obs = np.random.default_rng(0).normal(size=(3, 39))
    for name, make in POLICIES.items():
        actions = make(39, 4)(obs)
        assert actions.dtype == np.float32 and actions.shape == (3, 4) and np.abs(actions).max() <= 1, name
        np.testing.assert_array_equal(actions, make(39, 4)(obs))


@pytest.mark.thorough
def test_the_vector_env_beside_its_lanes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "vector_env", "--num-envs=10", "--blocks=1", "--ppo-steps=0", f"--json={out}"]) == 0
    found = json.loads(out.read_text())
    assert found["ppo_all"] == {} and found["arguments"]["num_envs"] == 10
    overhead = found["overhead"]
    assert overhead["vector_us"] == pytest.approx(overhead["lanes_us"] * (1 + overhead["added"]))
    assert "vector env" in capsys.readouterr().out


@pytest.mark.thorough
def test_ppo_is_timed_on_each_kind_of_envs(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    words = ("--num-envs=10", "--blocks=1", "--ppo-envs=2", "--ppo-steps=1000", "--repeats=1")
    assert main(["bench", "vector_env", *words, f"--json={out}"]) == 0
    rates = json.loads(out.read_text())["ppo_steps_per_second"]
    assert [kind.partition(",")[0] for kind in rates] == ["ours", "ours", "metaworld's", "metaworld's"]
    assert all(rate > 0 for rate in rates.values())
