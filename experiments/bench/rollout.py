"""Env steps/s of the rollout pool beside gymnasium's vector environments, all driven by the same policy."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import metaworld  # noqa: F401  (registers Meta-World's vector environments)
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from envs.metaworld.ml1 import ML1
from metarl.files import replace_file
from metarl.policies import GaussianMLP
from metarl.rollout.actor import ActorInput, PolicyActor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.run_directory import environment
from metarl.seeding import Stream, numpy_rng, torch_rng
from metarl.types import Params


@dataclass(frozen=True)
class Arguments:
    """Compare samplers on ML1: the pool with our stepping and with metaworld's, and gymnasium's async and sync."""

    env_name: str = "reach-v3"
    meta_batch_size: int = 10
    """Tasks, each with adapted parameters of its own."""
    episodes: int = 10
    """Of each task, for the pool; gymnasium's vector environments run one env a task."""
    workers: int = 2
    repeats: int = 3
    """Each sampler is timed so often, in turn; the median counts."""
    json: Path | None = None


@dataclass(frozen=True)
class Timing:
    steps_per_second: float
    stages: dict[str, float]
    """Share of the workers' time, by stage."""


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench rollout")
    timings: dict[str, list[Timing]] = {}
    for _ in range(arguments.repeats):  # in turn, so that a change of the machine's load meets all of them
        for name, sampler in samplers(arguments).items():
            timings.setdefault(name, []).append(sampler())
    medians = {name: statistics.median(t.steps_per_second for t in ts) for name, ts in timings.items()}
    _print(medians, timings)
    if arguments.json is not None:
        content = {
            "arguments": {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items()},
            "environment": environment(),
            "median_steps_per_second": medians,
            "steps_per_second": {n: [t.steps_per_second for t in ts] for n, ts in timings.items()},
            "stages": {n: ts[-1].stages for n, ts in timings.items()},
        }
        replace_file(arguments.json, json.dumps(content, indent=1).encode())
    return 0


def samplers(arguments: Arguments) -> dict[str, Any]:
    policy = GaussianMLP(39, 4)
    rng = torch_rng((0, Stream.INIT))
    phis = [policy.init(rng) for _ in range(arguments.meta_batch_size)]
    return {
        "metarl pool, fast stepping": lambda: time_pool(arguments, policy, phis, stepping="fast"),
        "metarl pool, metaworld's stepping": lambda: time_pool(arguments, policy, phis, stepping="metaworld"),
        "gymnasium async": lambda: time_gymnasium(arguments, policy, phis, strategy="async"),
        "gymnasium sync": lambda: time_gymnasium(arguments, policy, phis, strategy="sync"),
    }


def time_pool(arguments: Arguments, policy: GaussianMLP, phis: list[Params], *, stepping: Any) -> Timing:
    """Start-up (processes, models, first resets) is left out, as it is for gymnasium."""
    tasks = ML1(env_name=arguments.env_name, stepping=stepping)
    drawn = tasks.sample(arguments.meta_batch_size, rng=numpy_rng((0, Stream.TASKS)))

    def jobs(num_episodes: int, repeat: int) -> list[RolloutJob]:
        return [
            RolloutJob(task=task, phi=phi, num_episodes=num_episodes, seed=(0, Stream.COLLECT, repeat, i))
            for i, (task, phi) in enumerate(zip(drawn, phis, strict=True))
        ]

    with RolloutPool(tasks, PoolConfig(workers=arguments.workers)) as pool:
        pool.collect(jobs(arguments.episodes, 0), PolicyActor(policy))
        before = vars(pool.stats).copy()
        pool.collect(jobs(arguments.episodes, 1), PolicyActor(policy))
        spent = {name: value - before[name] for name, value in vars(pool.stats).items()}
    worker_seconds = spent["collect_seconds"] * max(1, arguments.workers)
    stages = {
        "physics and env": spent["env_seconds"] / worker_seconds,
        "policy": spent["policy_seconds"] / worker_seconds,
        "bookkeeping": (spent["busy_seconds"] - spent["env_seconds"] - spent["policy_seconds"]) / worker_seconds,
        "transfer and waiting": 1 - spent["busy_seconds"] / worker_seconds,
    }
    return Timing(spent["env_steps"] / spent["collect_seconds"], stages)


def time_gymnasium(arguments: Arguments, policy: GaussianMLP, phis: list[Params], *, strategy: str) -> Timing:
    """One env a task, one message a step, one whole episode of 500 steps after a warm-up of 20."""
    # torch's second thread would fight with the environments' processes for the cores
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    envs = gym.make_vec(
        "Meta-World/ML1-train",
        vector_strategy=strategy,
        env_name=arguments.env_name,
        meta_batch_size=arguments.meta_batch_size,
        total_tasks_per_cls=50,
        seed=0,
    )
    try:
        envs.call("sample_tasks")  # without it, reset dies with a bare AssertionError
        obs, _ = envs.reset()
        actor = PolicyActor(policy)
        memory = actor.start(phis, 1)
        rng = numpy_rng((0, Stream.COLLECT))
        zeros = torch.zeros(len(phis))
        for step in range(520):
            if step == 20:
                started = time.perf_counter()
            noise = torch.from_numpy(rng.standard_normal((len(phis), 4), dtype=np.float32))
            inputs = ActorInput(torch.from_numpy(obs.astype(np.float32)), noise, zeros, zeros.bool())
            with torch.no_grad():
                actions, _, memory = actor.act(memory, inputs, noise)
            obs, *_ = envs.step(actions.numpy())
        return Timing(500 * len(phis) / (time.perf_counter() - started), {})
    finally:
        envs.close()
        torch.set_num_threads(threads)


def _print(medians: dict[str, float], timings: dict[str, list[Timing]]) -> None:
    table = Table(title="env steps/s (median) and the ratio to gymnasium async", title_justify="left")
    for heading in ("sampler", "steps/s", "ratio", "where the workers' time goes"):
        table.add_column(heading)
    for name, median in medians.items():
        stages = ", ".join(f"{stage} {share:.0%}" for stage, share in timings[name][-1].stages.items())
        table.add_row(name, f"{median:,.0f}", f"{median / medians['gymnasium async']:.2f}", stages)
    Console().print(table)
