"""ms of a MAML meta-iteration on sinusoids: ours by each backend, and `higher`'s where it is installed."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from metarl.experiments.bench._record import store
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.methods.fast_weights import FastWeights
from metarl.fewshot.methods.gradient import BackendChoice
from metarl.fewshot.methods.maml import MAMLConfig, maml
from metarl.fewshot.nets.make import NetConfig
from metarl.seeding import numpy_rng, torch_rng
from metarl.types import TaskData

TASKS = 25
BACKENDS: tuple[BackendChoice, ...] = ("batched", "vmap", "loop")


@dataclass(frozen=True)
class Arguments:
    """Time a meta-update of MAML on 25 sinusoids of 10 points (MLP 40-40, one step, second order)."""

    repeats: int = 30
    """Timed meta-updates of each, of which the median CPU time counts; they take turns."""
    json: Path | None = None


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench inner_loop")
    torch.set_num_threads(1)
    source = Sinusoid(SinusoidConfig())
    rng = numpy_rng((0,))
    batch = source.data(source.sample_tasks(TASKS, split="train", rng=rng), rng=rng)
    steps: dict[str, Callable[[], Any]] = {f"metarl, {b}": _ours(source, batch, b) for b in BACKENDS}
    if importlib.util.find_spec("higher"):
        steps["higher"] = _higher(batch)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 3):
        for name, step in steps.items():
            started = time.process_time()
            step()
            if repeat >= 3:
                times[name].append(1000 * (time.process_time() - started))
    medians = {name: median(values) for name, values in times.items()}
    slowest = "higher" if "higher" in medians else "metarl, loop"
    table = Table("meta-iteration", "CPU-ms", f"times faster than {slowest}", box=box.SIMPLE_HEAD)
    for name, value in medians.items():
        table.add_row(name, f"{value:.2f}", f"{medians[slowest] / value:.1f}")
    Console().print(table)
    if "higher" not in medians:
        print("higher is not installed, so the ratio is to our own loop over tasks; pip install higher")
    store(arguments, {"median_cpu_ms": medians})
    return 0


def _ours(source: Sinusoid, batch: Sequence[TaskData], backend: BackendChoice) -> Callable[[], Any]:
    config = MAMLConfig(inner_lr=0.001, backend=backend, net=NetConfig(hidden=(40, 40), norm="none"))
    learner: FastWeights = maml(source.spec, config, generator=torch_rng((0,)))
    return lambda: learner.meta_update(batch)


def _higher(batch: Sequence[TaskData]) -> Callable[[], Any]:
    import higher  # type: ignore[import-not-found]

    net = torch.nn.Sequential(
        *(torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1))
    )
    inner, outer = torch.optim.SGD(net.parameters(), lr=0.001), torch.optim.Adam(net.parameters(), lr=1e-3)
    loss = torch.nn.functional.mse_loss

    def step() -> None:
        outer.zero_grad()
        for data in batch:
            with higher.innerloop_ctx(net, inner, copy_initial_weights=False) as (fast, optimizer):
                optimizer.step(loss(fast(data.supports[0].x), data.supports[0].y))
                (loss(fast(data.query.x), data.query.y) / len(batch)).backward()
        outer.step()

    return step
