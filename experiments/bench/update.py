"""Time of an update on Meta-World's shapes: MAML's trust region, RL²'s PPO, and a gradient step of SAC."""

from __future__ import annotations

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from metarl.agents.maml import MAMLConfig, maml
from metarl.agents.rl2 import RL2, RL2Config
from metarl.experiments.bench import _sac_update
from metarl.experiments.bench._record import store
from metarl.seeding import Stream, torch_rng
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=39, action_dim=4, horizon_steps=500)

STAGES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "MAML": {
        "advantages": ("batch.py", "flat_batch"),
        "conjugate gradient": ("meta_optimizer.py", "conjugate_gradient"),
        "losses of gradient and line search, forward": ("adapted_trust_region.py", "loss_and_kl"),
    },
    "RL2": {
        "stored states and advantages": ("trial_batch.py", "prepare"),
        "PPO's epochs": ("trial_ppo.py", "optimize"),
    },
}
"""Functions whose cumulative time is a stage's."""


@dataclass(frozen=True)
class Arguments:
    """Time one meta-update of 20 tasks: MAML on 5,000 + 5,000 steps of each, RL² on trials of 5,000 steps; or gradient
    steps of SAC, beside those of stable-baselines3."""

    agent: Literal["maml-rl2", "sac"] = "maml-rl2"
    widths: tuple[int, ...] = (256,)
    """Of SAC's three layers, in actor and critics."""
    batches: tuple[int, ...] = (512,)
    """Of SAC: transitions."""
    threads: tuple[int, ...] = (1, 2)
    """Of SAC."""
    tasks: int = 20
    episodes: int = 10
    """Of 500 steps, of each task; MAML takes as many again for its support."""
    hidden_dim: int = 256
    """Of RL²'s memory."""
    epochs: int = 1
    """Of RL²'s PPO."""
    repeats: int = 3
    json: Path | None = None


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench update")
    if arguments.agent == "sac":
        return show_sac(arguments)
    timings = {"MAML": time_maml(arguments), "RL2": time_rl2(arguments)}
    table = Table(title=f"one meta-update of {arguments.tasks} tasks, {torch.get_num_threads()} threads")
    for heading in ("agent", "seconds", "of which"):
        table.add_column(heading)
    for name, timing in timings.items():
        stages = "\n".join(f"{stage}: {seconds:.2f}" for stage, seconds in timing["stages"].items())
        table.add_row(name, f"{timing['seconds']:.2f}", stages)
    Console().print(table)
    store(arguments, {"threads": torch.get_num_threads(), **timings})
    return 0


def show_sac(arguments: Arguments) -> int:
    timed = _sac_update.rows(
        widths=arguments.widths, batches=arguments.batches, threads=arguments.threads, repeats=arguments.repeats
    )
    table = Table(title=f"one gradient step of SAC, median of {arguments.repeats}")
    columns = ("agent", "width", "batch", "threads", "precision")
    for heading in (*columns, "ms", "x stable-baselines3"):
        table.add_column(heading)
    of_sb3 = {row["threads"]: row["ms"] for row in timed if row["agent"] == "stable-baselines3"}
    for row in timed:
        is_like = row["agent"] == "metarl, plain"  # the same nets, batch and losses
        ratio = f"{of_sb3[row['threads']] / row['ms']:.2f}" if is_like else ""
        table.add_row(*(str(row[name]) for name in columns), f"{row['ms']:.2f}", ratio)
    Console().print(table)
    store(arguments, {"rows": timed})
    return 0


def time_maml(arguments: Arguments) -> dict[str, Any]:
    learner = maml(SPEC, MAMLConfig(), generator=torch_rng((0, Stream.INIT)))
    batch = [
        TaskData(
            Task(str(i), {}), (made_up(arguments.episodes, seed=2 * i),), made_up(arguments.episodes, seed=2 * i + 1)
        )
        for i in range(arguments.tasks)
    ]
    return timed(lambda: learner.meta_update(batch), STAGES["MAML"], repeats=arguments.repeats)


def time_rl2(arguments: Arguments) -> dict[str, Any]:
    # inputs as they are: so were the updates timed that are on record
    sizes = {"hidden_dim": arguments.hidden_dim, "epochs": arguments.epochs}
    config = RL2Config(**sizes, normalize_inputs=False, input_changes=False)
    learner = RL2(SPEC, config, generator=torch_rng((0, Stream.INIT)))
    batch = [TaskData(Task(str(i), {}), (), made_up(arguments.episodes, seed=i)) for i in range(arguments.tasks)]
    return timed(lambda: learner.meta_update(batch), STAGES["RL2"], repeats=arguments.repeats)


def made_up(episodes: int, *, seed: int) -> Episodes:
    """Random numbers of Meta-World's shapes: what an update costs does not depend on what they are."""
    rng = torch_rng((seed, Stream.COLLECT))
    shape = (episodes, SPEC.horizon_steps)
    truncated = torch.zeros(shape, dtype=torch.bool)
    truncated[:, -1] = True
    return Episodes(
        obs=torch.randn(*shape, SPEC.obs_dim, generator=rng),
        actions=torch.randn(*shape, SPEC.action_dim, generator=rng),
        rewards=torch.randn(shape, generator=rng),
        log_probs=-5.7 + 0.1 * torch.randn(shape, generator=rng),
        terminated=torch.zeros(shape, dtype=torch.bool),
        truncated=truncated,
        success=torch.zeros(shape, dtype=torch.bool),
        mask=torch.ones(shape, dtype=torch.bool),
        last_obs=torch.randn(episodes, SPEC.obs_dim, generator=rng),
    )


def timed(update: Callable[[], Any], stages: Mapping[str, tuple[str, str]], *, repeats: int) -> dict[str, Any]:
    """Median seconds without the profiler, and one more update under it for the stages."""
    update()  # the first one also warms torch up
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        update()
        seconds.append(time.perf_counter() - started)
    with cProfile.Profile() as profile:
        update()
    totals = {(Path(file).name, name): row[3] for (file, _, name), row in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    return {
        "seconds": statistics.median(seconds),
        "all_seconds": seconds,
        "stages": {stage: totals.get(function, 0.0) for stage, function in stages.items()},
    }
