"""Memory and start-up of the sampler on a Meta-World benchmark: processes, models and task changes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import psutil
import torch
import tyro
from rich.console import Console
from rich.table import Table

from metarl.envs.metaworld.ml import ML
from metarl.experiments.bench._record import store
from metarl.rl.policies import GaussianMLP
from metarl.rollout.actor import PolicyActor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import Stream, numpy_rng, torch_rng
from metarl.validate import check_counts

GB = 1e9
START = """
import sys
from metarl.envs.metaworld.ml import ML
from metarl.seeding import numpy_rng
import numpy as np
tasks = ML(benchmark=sys.argv[1])
drawn = tasks.sample(int(sys.argv[2]), rng=numpy_rng((0,)))
env = tasks.make_env(len(drawn))
lanes = np.arange(len(drawn))
env.reset(lanes, drawn, [(i,) for i in lanes])
env.step(lanes, np.zeros((len(drawn), 4), np.float32))
"""
"""A fresh process up to the first step of one episode of every task of a meta-batch."""


@dataclass(frozen=True)
class Arguments:
    """Resident memory while sampling a benchmark, after many changes of task, and seconds to the first step."""

    benchmark: Literal["ML10", "ML25", "ML45"] = "ML45"
    meta_batch_size: int = 45
    episodes: int = 10
    """Of each task."""
    workers: int = 2
    task_changes: int = 2000
    """In one process, a reset to another task and 20 steps each."""
    starts: int = 3
    """Of which the median counts."""
    json: Path | None = None


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench memory")
    check_counts(starts=arguments.starts)
    starts = [start_seconds(arguments) for _ in range(arguments.starts)]
    figures = {
        "seconds_to_first_step": median(starts),
        "first_start_seconds": starts[0],
        **pool_memory(arguments),
        **task_change_memory(arguments),
    }
    table = Table(title=f"{arguments.benchmark}, {arguments.meta_batch_size} tasks", title_justify="left")
    for heading in ("what", "value"):
        table.add_column(heading)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console().print(table)
    store(arguments, figures)
    return 0


def start_seconds(arguments: Arguments) -> float:
    started = time.perf_counter()
    words = [sys.executable, "-c", START, arguments.benchmark, str(arguments.meta_batch_size)]
    subprocess.run(words, check=True)
    return time.perf_counter() - started


def pool_memory(arguments: Arguments) -> dict[str, float]:
    """One meta-batch sampled whole; what this process and its workers hold at the end."""
    tasks = ML(benchmark=arguments.benchmark)
    policy = GaussianMLP(tasks.spec.obs_dim, tasks.spec.action_dim)
    theta = policy.init(torch_rng((0, Stream.INIT)))
    drawn = tasks.sample(arguments.meta_batch_size, rng=numpy_rng((0, Stream.TASKS)))
    jobs = [
        RolloutJob(task=task, phi=theta, num_episodes=arguments.episodes, seed=(0, Stream.COLLECT, i))
        for i, task in enumerate(drawn)
    ]
    torch.set_num_threads(1)
    with RolloutPool(tasks, PoolConfig(workers=arguments.workers)) as pool:
        pool.collect(jobs, PolicyActor(policy))
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        resident = [process.memory_info().rss / GB for process in processes]
        held = [share_of(process) / GB for process in processes]
        rate = pool.stats.env_steps / pool.stats.collect_seconds
    return {
        "all_processes_gb": sum(held),
        "largest_process_gb": max(resident),
        "env_steps_per_second_start_included": rate,
    }


def share_of(process: psutil.Process) -> int:
    """Bytes, a page that several processes share counted in parts, where the system tells (Linux)."""
    info = process.memory_full_info()
    return getattr(info, "pss", info.rss)


def task_change_memory(arguments: Arguments) -> dict[str, float]:
    """Resident size of one process once it has met every goal of a first pass, and after `task_changes` more."""
    tasks = ML(benchmark=arguments.benchmark)
    train = tasks.meta_train()
    env = tasks.make_env(1)
    lane = np.zeros(1, dtype=np.intp)

    def visit(indices: Sequence[int]) -> float:
        for i in indices:
            env.reset(lane, [train[i]], [(i,)])
            for _ in range(20):
                env.step(lane, np.zeros((1, 4), np.float32))
        return psutil.Process().memory_info().rss / GB

    rng = numpy_rng((0, Stream.TASKS))
    before = visit(range(0, len(train), 10))  # every class
    sizes = [visit(rng.integers(len(train), size=arguments.task_changes // 10).tolist()) for _ in range(10)]
    return {"before_task_changes_gb": before, "after_task_changes_gb": sizes[-1], "growth": sizes[-1] / before - 1}
