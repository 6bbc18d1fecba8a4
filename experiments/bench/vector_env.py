"""What the vector env adds to the lanes that it steps, and what stable-baselines3's PPO gains by it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import metaworld  # noqa: F401  (registers Meta-World's environments)
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from threadpoolctl import threadpool_limits

from metarl.envs.metaworld.mt import MT
from metarl.envs.vector.sb3 import SB3VecEnv
from metarl.experiments.bench._record import origin, store
from metarl.tasks import BatchEnv
from metarl.validate import check_counts

BLOCK = 25
"""Steps of all envs timed at a stretch, the two ways in turn."""


@dataclass(frozen=True)
class Arguments:
    """Time our vector env of MT10 beside its lanes alone, and PPO's whole training on ML1's tasks on ours and on
    metaworld's own envs. Everything is on a quiet machine, in turns, medians of the repeats."""

    num_envs: int = 50
    """Of the vector env, in this process."""
    blocks: int = 20
    """Of 25 steps of all envs, each way."""
    env_name: str = "reach-v3"
    """Of PPO's training."""
    ppo_envs: int = 10
    ppo_steps: int = 10_000
    """Env steps of each training, behind one of as many that starts processes; 0 leaves PPO out."""
    repeats: int = 3
    json: Path | None = None


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench vector_env")
    check_counts(num_envs=arguments.num_envs, blocks=arguments.blocks, repeats=arguments.repeats)
    console = Console()
    overhead = _overhead(arguments.num_envs, arguments.blocks)
    console.print(
        f"a step of one of {arguments.num_envs} envs of MT10: lanes {overhead['lanes_us']:.1f} µs, vector env "
        f"{overhead['vector_us']:.1f} µs, {overhead['added']:+.1%}"
    )
    rates = _ppo(arguments) if arguments.ppo_steps else {}
    medians = {kind: statistics.median(values) for kind, values in rates.items()}
    if medians:
        table = Table(title=f"SB3's PPO on {arguments.env_name}, {arguments.ppo_envs} envs, whole training")
        for heading in ("envs", "env steps/s", "ours, times it"):
            table.add_column(heading, justify="left" if heading == "envs" else "right")
        ours = next(iter(medians.values()))
        for kind, rate in medians.items():
            table.add_row(kind, f"{rate:,.0f}", f"{ours / rate:.2f}")
        console.print(table)
    store(arguments, {**origin(), "overhead": overhead, "ppo_steps_per_second": medians, "ppo_all": rates})
    return 0


def _overhead(num_envs: int, blocks: int) -> dict[str, float]:
    """µs a step of an env by its lanes alone and by the vector env, which steps the same lanes, in turns."""
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, (num_envs, 4)).astype(np.float32) for _ in range(BLOCK)]
    envs: Any = gym.make_vec("metarl.envs:metarl/MT10", num_envs, autoreset_mode="SameStep")
    lanes: BatchEnv = MT().make_env(num_envs)
    tasks = [task for task in MT().meta_train() if task.id.endswith("/0")]
    every = np.arange(num_envs)
    seconds: dict[str, list[float]] = {"lanes_us": [], "vector_us": []}
    try:
        for block in range(blocks):
            if block % 10 == 0:  # both at the same goals, before an episode's end
                envs.reset(options={"task": [tasks[i % len(tasks)] for i in range(num_envs)]})
                lanes.reset(every, [tasks[i % len(tasks)] for i in range(num_envs)], [(i,) for i in range(num_envs)])
            for name, step in (("lanes_us", partial(lanes.step, every)), ("vector_us", envs.step)):
                started = time.process_time()
                for action in actions:
                    step(action)
                seconds[name].append((time.process_time() - started) / BLOCK / num_envs)
    finally:
        envs.close()
        lanes.close()
    medians = {name: 1e6 * statistics.median(values) for name, values in seconds.items()}
    return medians | {"added": medians["vector_us"] / medians["lanes_us"] - 1}


def _ppo(arguments: Arguments) -> dict[str, list[float]]:
    """Env steps/s of the same training on each kind of envs, ours first, in each repeat."""
    count, name = arguments.ppo_envs, arguments.env_name
    makers = [partial(_metaworlds, name, seed) for seed in range(count)]
    kinds: dict[str, Callable[[], VecEnv]] = {
        "ours, one process": partial(_ours, name, count, 0),
        "ours, two workers": partial(_ours, name, count, 2),
        "metaworld's, DummyVecEnv": partial(DummyVecEnv, makers),
        "metaworld's, SubprocVecEnv": partial(SubprocVecEnv, makers),
    }
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(arguments.repeats):
        for kind, make in kinds.items():
            rates[kind].append(_rate(make, arguments.ppo_steps))
    return rates


def _ours(name: str, count: int, workers: int) -> VecEnv:
    envs = gym.make_vec(f"metarl.envs:metarl/MT1-{name}", count, autoreset_mode="SameStep", workers=workers)
    return SB3VecEnv(envs)


def _metaworlds(name: str, seed: int) -> gym.Env:
    return gym.make("Meta-World/MT1", env_name=name, seed=seed, disable_env_checker=True)


def _rate(make: Callable[[], VecEnv], env_steps: int) -> float:
    """Of a training behind a short one, in which processes start and torch warms up."""
    envs = make()
    try:
        with threadpool_limits(1):  # a second thread of torch would fight with the envs' processes for the cores
            model = PPO("MlpPolicy", envs, n_steps=500, batch_size=500, seed=0, device="cpu")
            model.learn(1)
            started, before = time.perf_counter(), model.num_timesteps
            model.learn(env_steps, reset_num_timesteps=False)
            return (model.num_timesteps - before) / (time.perf_counter() - started)
    finally:
        envs.close()
