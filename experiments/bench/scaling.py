"""How far the pool scales: groups of known duration on ever more workers, and the parent's own work a group."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from metarl.envs.metaworld.spec import SPEC
from metarl.experiments.bench._record import store
from metarl.rl.policies import GaussianMLP
from metarl.rollout.actor import PolicyActor
from metarl.rollout.buffer import num_bytes
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.message import to_bytes
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import SeedKey, torch_rng
from metarl.tasks import EnvStep, Lanes
from metarl.types import EnvSpec, Task
from metarl.validate import check_counts

ASLEEP = Task("asleep", {})


@dataclass(frozen=True)
class Arguments:
    """Time the pool where an episode's length is known: its environments sleep, so that any number of workers fits on
    any machine. Shapes and messages are Meta-World's."""

    workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    groups: int = 16
    """For each worker."""
    lanes: int = 50
    """Episodes of 500 steps in a group."""
    seconds: float = 2.0
    """That a group sleeps, spread over its steps; as long as 50 episodes of Meta-World take is 3.5."""
    repeats: int = 1
    json: Path | None = None


class Sleeping:
    """A task distribution with Meta-World's spaces whose lanes do nothing, at a known speed."""

    name = "sleeping"
    spec: EnvSpec = SPEC

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return [ASLEEP] * num_tasks

    def meta_test(self) -> list[Task]:
        return [ASLEEP]

    def make_env(self, num_lanes: int) -> SleepingLanes:
        return SleepingLanes(num_lanes, self.seconds / self.spec.horizon_steps)


class SleepingLanes:
    """L lanes that end together; a step of all takes so many seconds."""

    def __init__(self, num_lanes: int, seconds: float) -> None:
        self._obs = np.zeros((num_lanes, SPEC.obs_dim), np.float32)
        self._seconds, self._due = seconds, 0.0

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        self._due = time.monotonic()
        return self._obs[lanes]

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        self._due += self._seconds
        if (left := self._due - time.monotonic()) > 0:  # what the policy took is part of the step
            time.sleep(left)
        count = len(self._obs[lanes])
        none = np.zeros(count, dtype=bool)
        return EnvStep(self._obs[lanes], np.zeros(count), none, none, none)

    def close(self) -> None:
        """Nothing to close."""


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench scaling")
    check_counts(groups=arguments.groups, lanes=arguments.lanes, repeats=arguments.repeats)
    policy = GaussianMLP(SPEC.obs_dim, SPEC.action_dim, (128, 128))
    phi = policy.init(torch_rng((0,)))
    job = RolloutJob(task=ASLEEP, phi=phi, num_episodes=arguments.lanes, seed=(0,))
    rows = [_timed(arguments, workers, job, PolicyActor(policy)) for workers in arguments.workers]
    one = rows[0]["seconds"] / arguments.groups * arguments.workers[0]
    table = Table(title=f"{arguments.groups} groups a worker, each of {arguments.seconds:g} s")
    for heading in ("workers", "seconds", "efficiency", "parent's CPU\nms a group"):
        table.add_column(heading, justify="right")
    for row in rows:
        row["efficiency"] = one * arguments.groups / row["seconds"]
        cells = (f"{row['seconds']:.2f}", f"{row['efficiency']:.3f}", f"{1e3 * row['parent_seconds_per_group']:.1f}")
        table.add_row(str(row["workers"]), *cells)
    sizes = {
        "message_bytes": len(to_bytes([job])),
        "episodes_bytes": num_bytes(SPEC, arguments.lanes, SPEC.horizon_steps),
    }
    console = Console()
    console.print(table)
    console.print(
        f"a group's message {sizes['message_bytes']:,} bytes, its episodes {sizes['episodes_bytes']:,} in shared memory"
    )
    store(arguments, {**sizes, "rows": rows})
    return 0


def _timed(arguments: Arguments, workers: int, job: RolloutJob, actor: PolicyActor) -> dict[str, Any]:
    """Medians of all groups' wall-clock time, and of the CPU time that this process spent on each."""
    groups = arguments.groups * workers
    jobs = [replace(job, seed=(0, i)) for i in range(groups)]
    walls, parents = [], []
    with RolloutPool(Sleeping(arguments.seconds), PoolConfig(workers=workers, lanes_per_group=arguments.lanes)) as pool:
        pool.collect(jobs[:workers], actor)  # the workers start
        for _ in range(arguments.repeats):
            started, spent = time.perf_counter(), time.process_time()
            pool.collect(jobs, actor)
            walls.append(time.perf_counter() - started)
            parents.append((time.process_time() - spent) / groups)
    return {
        "workers": workers,
        "seconds": statistics.median(walls),
        "parent_seconds_per_group": statistics.median(parents),
    }
