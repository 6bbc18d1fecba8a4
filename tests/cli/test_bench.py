"""The benches run and their JSON holds what their tables show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.experiments.bench._vector_envs import started
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


def test_bench_rollout_on_any_registered_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    small = ["--meta-batch-size", "2", "--episodes", "2", "--repeats", "1", "--workers", "0", "--hidden", "8"]
    assert main(["bench", "rollout", "--tasks", "reacher-goal-v0", *small, "--json", str(out)]) == 0
    rates = json.loads(out.read_text())["median_steps_per_second"]
    assert set(rates) == {"metarl pool", "bare physics", "gymnasium async", "gymnasium sync", "SB3 subproc"}
    assert all(rate > 0 for rate in rates.values())
    assert main(["bench", "rollout", "--tasks", "reacher"]) == 2
    assert "did you mean 'reacher-goal-v0'" in capsys.readouterr().err


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
