"""Env steps/s of the rollout pool beside gymnasium's and Stable-Baselines3's vector environments: the same policy; or
of the pool's processes beside workers on Ray.

`--tasks` is any distribution that `metarl list` names. For robots the bare physics, mj_step alone on the pool's own
episodes, is measured in the same run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import metaworld  # noqa: F401  (registers Meta-World's vector environments)
import tyro
from rich.console import Console
from rich.table import Table

from metarl.envs.metaworld.ml import ML
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.spec import Stepping
from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.envs.registry import all_envs
from metarl.errors import UserError, nearest
from metarl.experiments.bench._bare_physics import bare_steps_per_second
from metarl.experiments.bench._record import store
from metarl.experiments.bench._vector_envs import drive, gymnasium_vector, sb3_vector, started
from metarl.rl.policies import Policy, mlp_policy
from metarl.rollout.actor import PolicyActor
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool, RunnerName
from metarl.seeding import Stream, numpy_rng, torch_rng
from metarl.tasks import TaskDistribution
from metarl.types import Episodes, Params, Task

BARE = "bare physics"


@dataclass(frozen=True)
class Arguments:
    """Compare samplers on a task distribution, all driven by the same policy."""

    tasks: str = "ml1"
    """Any distribution of `metarl list`. ml10 takes --meta-batch-size 20, ml45 takes 45."""
    env_name: str = "reach-v3"
    """Of ml1: which task."""
    meta_batch_size: int = 10
    """Tasks, each with adapted parameters of its own."""
    episodes: int = 10
    """Of each task, for the pool; vector environments run one env a task."""
    hidden: tuple[int, ...] = (128, 128)
    """Of the policy."""
    against: Literal["vector_envs", "ray"] = "vector_envs"
    """ray: the pool's own processes, and the pool on a Ray that is started here."""
    workers: int = 2
    lanes_per_group: int = 50
    repeats: int = 3
    """Each sampler is timed so often, in turn; the median counts."""
    json: Path | None = None


@dataclass(frozen=True)
class Timing:
    steps_per_second: float
    stages: dict[str, float]
    """Share of the workers' time, by stage."""


Sampler = Callable[[], dict[str, Timing]]
"""One or more timings by name: the pool gives the bare physics of its own episodes as well."""


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench rollout")
    timings: dict[str, list[Timing]] = {}
    samplers = samplers_of(arguments)
    for _ in range(arguments.repeats):  # in turn, so that a change of the machine's load meets all of them
        for sampler in samplers:
            for name, timing in sampler().items():
                timings.setdefault(name, []).append(timing)
    medians = {name: statistics.median(t.steps_per_second for t in ts) for name, ts in timings.items()}
    _print(medians, timings)
    content = {
        "median_steps_per_second": medians,
        "steps_per_second": {n: [t.steps_per_second for t in ts] for n, ts in timings.items()},
        "stages": {n: ts[-1].stages for n, ts in timings.items()},
    }
    store(arguments, content)
    return 0


def samplers_of(arguments: Arguments) -> list[Sampler]:
    """What is compared on a task set: Meta-World has vector environments of its own, others are looked up by name."""
    of_pool = arguments.against == "ray"
    if arguments.tasks in OWN_SAMPLERS and not of_pool:
        return OWN_SAMPLERS[arguments.tasks](arguments)
    envs = all_envs()
    if arguments.tasks not in envs:
        raise UserError(f"unknown tasks {arguments.tasks!r}{nearest(arguments.tasks, envs)}; `metarl list` names them")
    tasks = envs[arguments.tasks].make()
    return _runners(arguments, tasks) if of_pool else _registered_samplers(arguments, tasks)


def _policy(arguments: Arguments, tasks: TaskDistribution) -> tuple[Policy, list[Params]]:
    policy = mlp_policy(tasks.spec, hidden=arguments.hidden, init_std=1.0, min_std=1e-3)
    rng = torch_rng((0, Stream.INIT))
    return policy, [policy.init(rng) for _ in range(arguments.meta_batch_size)]


def _draw(arguments: Arguments, tasks: TaskDistribution) -> list[Task]:
    return tasks.sample(arguments.meta_batch_size, rng=numpy_rng((0, Stream.TASKS)))


# ---- any registered distribution


def _runners(arguments: Arguments, tasks: TaskDistribution) -> list[Sampler]:
    policy, phis = _policy(arguments, tasks)

    def pool(runner: RunnerName) -> Sampler:
        return lambda: {f"metarl pool, {runner}": time_pool(arguments, tasks, policy, phis, runner=runner)[0]}

    return [pool("processes"), pool("ray")]


def _registered_samplers(arguments: Arguments, tasks: TaskDistribution) -> list[Sampler]:
    policy, phis = _policy(arguments, tasks)
    drawn, num_steps = _draw(arguments, tasks), min(300, 3 * tasks.spec.horizon_steps)

    def pool() -> dict[str, Timing]:
        timing, jobs, episodes = time_pool(arguments, tasks, policy, phis)
        if not isinstance(tasks, RobotTasks):
            return {"metarl pool": timing}
        bare = bare_steps_per_second(tasks, jobs, episodes, workers=arguments.workers)
        return {"metarl pool": timing, BARE: Timing(bare, {})}

    def vector(name: str, make: Callable[[], Any]) -> Sampler:
        return lambda: {name: Timing(drive(*started(name, make), policy, phis, num_steps=num_steps), {})}

    return [
        pool,
        vector("gymnasium async", lambda: gymnasium_vector(tasks, drawn, "async")),
        vector("gymnasium sync", lambda: gymnasium_vector(tasks, drawn, "sync")),
        vector("SB3 subproc", lambda: sb3_vector(tasks, drawn)),
    ]


# ---- Meta-World

_GOALS = 50
"""Of a class."""


def _metaworld_samplers(arguments: Arguments, make: Callable[[Stepping], ML1 | ML]) -> list[Sampler]:
    policy, phis = _policy(arguments, make("fast"))
    per_class = _envs_per_class(
        arguments.meta_batch_size, len({t.params["env_name"] for t in make("fast").meta_train()})
    )

    def pool(name: str, stepping: Stepping) -> Sampler:
        tasks = make(stepping)
        return lambda: {name: time_pool(arguments, tasks, policy, phis)[0]}

    def vector(name: str, strategy: str) -> Sampler:
        make = partial(_metaworld_vector, arguments, strategy, per_class)
        return lambda: {name: Timing(drive(*started(name, make), policy, phis, num_steps=500), {})}

    return [
        pool("metarl pool, fast stepping", "fast"),
        pool("metarl pool, metaworld's stepping", "metaworld"),
        vector("gymnasium async", "async"),
        vector("gymnasium sync", "sync"),
    ]


def _envs_per_class(meta_batch_size: int, num_classes: int) -> int:
    """Of metaworld's own vector environments, which deal a class's goals out to its envs. Raises UserError."""
    per_class, rest = divmod(meta_batch_size, num_classes)
    if rest or not 1 <= per_class <= _GOALS:
        raise UserError(
            f"--meta-batch-size {meta_batch_size}: metaworld's vector environments have as many envs of each of the "
            f"{num_classes} classes, at most {_GOALS}; give a multiple of {num_classes} up to {_GOALS * num_classes}"
        )
    return per_class


def _metaworld_vector(arguments: Arguments, strategy: str, per_class: int) -> Any:
    envs = gym.make_vec(
        f"Meta-World/{arguments.tasks.upper()}-train",
        vector_strategy=strategy,
        **({"env_name": arguments.env_name} if arguments.tasks == "ml1" else {}),
        meta_batch_size=arguments.meta_batch_size,
        total_tasks_per_cls=_GOALS - _GOALS % per_class,  # each env takes as many
        seed=0,
    )
    envs.call("sample_tasks")  # without it, reset dies with a bare AssertionError
    return envs


def _ml1_samplers(arguments: Arguments) -> list[Sampler]:
    return _metaworld_samplers(arguments, lambda stepping: ML1(env_name=arguments.env_name, stepping=stepping))


def _ml_samplers(arguments: Arguments) -> list[Sampler]:
    """The vector environments are metaworld's own, whose meta_batch_size is a multiple of the classes."""
    benchmark: Any = arguments.tasks.upper()
    return _metaworld_samplers(arguments, lambda stepping: ML(benchmark=benchmark, stepping=stepping))


OWN_SAMPLERS: dict[str, Callable[[Arguments], list[Sampler]]] = {
    "ml1": _ml1_samplers,
    "ml10": _ml_samplers,
    "ml45": _ml_samplers,
}


# ---- the pool


def time_pool(
    arguments: Arguments,
    tasks: TaskDistribution,
    policy: Policy,
    phis: list[Params],
    *,
    runner: RunnerName = "processes",
) -> tuple[Timing, list[RolloutJob], list[Episodes]]:
    """Start-up (processes, models, first resets) is left out, as it is for the others."""
    drawn = _draw(arguments, tasks)

    def jobs(repeat: int) -> list[RolloutJob]:
        return [
            RolloutJob(task=task, phi=phi, num_episodes=arguments.episodes, seed=(0, Stream.COLLECT, repeat, i))
            for i, (task, phi) in enumerate(zip(drawn, phis, strict=True))
        ]

    config = PoolConfig(workers=arguments.workers, lanes_per_group=arguments.lanes_per_group, runner=runner)
    with RolloutPool(tasks, config) as pool:
        pool.collect(jobs(0), PolicyActor(policy))
        before = vars(pool.stats).copy()
        episodes = pool.collect(jobs(1), PolicyActor(policy))
        spent = {name: value - before[name] for name, value in vars(pool.stats).items()}
    worker_seconds = spent["collect_seconds"] * max(1, arguments.workers)
    stages = {
        "physics and env": spent["env_seconds"] / worker_seconds,
        "policy": spent["policy_seconds"] / worker_seconds,
        "bookkeeping": (spent["busy_seconds"] - spent["env_seconds"] - spent["policy_seconds"]) / worker_seconds,
        "transfer and waiting": 1 - spent["busy_seconds"] / worker_seconds,
    }
    return Timing(spent["env_steps"] / spent["collect_seconds"], stages), jobs(1), episodes


def _print(medians: dict[str, float], timings: dict[str, list[Timing]]) -> None:
    others = [name for name in ("gymnasium async", BARE, "metarl pool, processes") if name in medians]
    headings = ["sampler", "steps/s", *[f"x {name}" for name in others], "where the workers' time goes"]
    table = Table(*headings, title="env steps/s, median", title_justify="left")
    for name, median in medians.items():
        stages = ", ".join(f"{stage} {share:.0%}" for stage, share in timings[name][-1].stages.items())
        table.add_row(name, f"{median:,.0f}", *[f"{median / medians[other]:.2f}" for other in others], stages)
    Console().print(table)
