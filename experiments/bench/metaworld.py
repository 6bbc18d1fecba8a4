"""µs a step and ms a reset of every Meta-World task: metaworld's own, ours, the bare physics, and EnvPool's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from metarl.envs.metaworld.fast.bench import bench_task, physics_start
from metarl.envs.metaworld.goals import cache_directory
from metarl.errors import UserError
from metarl.experiments.bench import _in_envpool
from metarl.experiments.bench._metaworld_page import SPEED, chosen_tasks, store_and_show
from metarl.experiments.bench._mt10_samplers import mt10_rates
from metarl.experiments.bench._other_python import answered, python_with
from metarl.experiments.bench._record import origin, settings_of
from metarl.experiments.bench._speed_tables import rate_table
from metarl.files import replace_file
from metarl.validate import check_counts

COLUMNS = {
    "metaworld_us": ("mw\nµs", ".0f"),
    "fast_us": ("ours\nµs", ".0f"),
    "physics_us": ("phys\nµs", ".0f"),
    "speedup": ("ratio\n", ".2f"),
    "share_of_physics_rate": ("share\n", ".2f"),
    "metaworld_reset_ms": ("mw\nms", ".1f"),
    "new_goal_reset_ms": ("new\nms", ".2f"),
    "known_goal_reset_ms": ("seen\nms", ".3f"),
}
LEGEND = (
    "µs a step: metaworld's, ours, bare physics; ratio: times faster than metaworld; share: of the physics' rate;\n"
    "ms a reset: metaworld's, ours for a new goal, ours for a goal seen before"
)


AGAINST = {
    "metaworld_us": ("mw\nµs", ".0f"),
    "fast_us": ("ours\nµs", ".0f"),
    "physics_us": ("phys\nµs", ".0f"),
    "over_physics": ("ours/\nphys", ".2f"),
    "envpool_us": ("EnvPool\nµs", ".0f"),
    "envpool_physics_us": ("phys\nµs", ".0f"),
    "envpool_over_physics": ("EnvPool/\nphys", ".2f"),
}
AGAINST_LEGEND = (
    "µs a step: metaworld's, ours and bare physics under mujoco {mujoco}; EnvPool {envpool}'s\n"
    "and bare physics, from the same states and controls, under mujoco {envpool_mujoco};\n"
    "each one's time as a multiple of its own physics"
)
ENVPOOL_VERSION = "1.2.5"
"""The newest with wheels for Python 3.11 and glibc 2.36."""
ENVPOOL_MUJOCO = "3.6.0"
"""What that EnvPool is linked with; its physics is timed by the same version's Python package."""


@dataclass(frozen=True)
class Arguments:
    """Time metaworld's stepping, ours and the bare physics (mj_step of 5 substeps, mj_forward) on the same states."""

    tasks: tuple[str, ...] = ()
    """Task names; all 50 if none is given."""
    steps: int = 500
    """Timed steps of each task, in blocks of 10 of which the median counts; CPU time."""
    against: Literal["envpool"] | None = None
    """Time EnvPool's C++ Meta-World as well, and whole samplers on MT10."""
    venv: Path | None = None
    """Folder of the virtual environment that EnvPool is installed in, made where missing (a minute, 1 GB). If none is
    named, it lies in the cache directory, ~/.cache/metarl."""
    num_envs: int = 100
    """Of the samplers."""
    sampler_steps: int = 500
    """Of each env of the samplers, an episode's end among them; 0 leaves the samplers out."""
    cores: tuple[int, ...] = (1, 2)
    """Of the samplers, one after the other: all of their processes and threads have no more."""
    json: Path | None = None
    write: bool = False
    """Store the record in experiments/results/bench/, and make docs/metaworld.md of it; of all 50 tasks."""


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench metaworld")
    check_counts(steps=arguments.steps, num_envs=arguments.num_envs)
    names = chosen_tasks(arguments.tasks, write=arguments.write)
    if arguments.write and not (arguments.against and arguments.sampler_steps):
        raise UserError(
            "--write stores all that docs/metaworld.md shows, EnvPool's times and samplers with it; "
            "add --against envpool, and give --sampler-steps"
        )
    console = Console()
    python = _python_of_envpool(arguments.venv, console) if arguments.against else None
    rows = [
        bench_task(name, steps=arguments.steps)
        for name in track(names, description="timing", console=console, transient=True)
    ]
    record = {"settings": settings_of(arguments), **origin(), "tasks": rows, "mean": _means(rows)}
    if python is None:
        _print_table(console, record, COLUMNS, LEGEND)
    else:
        record |= _beside_envpool(python, rows, arguments, console)
        versions = {"mujoco": version("mujoco"), "envpool": ENVPOOL_VERSION, "envpool_mujoco": ENVPOOL_MUJOCO}
        _print_table(console, record, AGAINST, AGAINST_LEGEND.format(**versions))
        _print_samplers(console, record["samplers"])
    first = record["mean"]["metaworld_reset_ms"] / record["mean"]["new_goal_reset_ms"]
    later = record["mean"]["metaworld_reset_ms"] / record["mean"]["known_goal_reset_ms"]
    console.print(f"resets, ratio of mean times: {first:.1f} times faster for a new goal, {later:.0f} for a seen one")
    if arguments.json is not None:
        replace_file(arguments.json, json.dumps(record, indent=1).encode())
    if arguments.write:
        store_and_show(SPEED, record, console)
    return 0


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {column: float(np.mean([row[column] for row in rows])) for column in rows[0] if column != "task"}


def _print_table(console: Console, record: dict[str, Any], columns: dict[str, tuple[str, str]], legend: str) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("task", no_wrap=True)
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in [*record["tasks"], {"task": f"mean of {len(record['tasks'])}", **record["mean"]}]:
        table.add_row(str(row["task"]), *(format(row[column], digits) for column, (_, digits) in columns.items()))
    console.print(table)
    console.print(legend)


# ---- against EnvPool


def _python_of_envpool(venv: Path | None, console: Console) -> Path:
    with console.status("looking for EnvPool's virtual environment, or making it (a minute)"):
        pins = (f"envpool=={ENVPOOL_VERSION}", f"mujoco=={ENVPOOL_MUJOCO}")
        return python_with(pins, venv or cache_directory() / f"envpool-{ENVPOOL_VERSION}")


def _beside_envpool(
    python: Path, rows: Sequence[dict[str, Any]], arguments: Arguments, console: Console
) -> dict[str, Any]:
    """What the record has of EnvPool."""
    with console.status("timing EnvPool's steps"):
        starts = [physics_start(row["task"], steps=arguments.steps) for row in rows]
        timed = answered(python, Path(_in_envpool.__file__), {"starts": starts, "steps": arguments.steps})
    together = [{**row, **_multiples(row, its), **its} for row, its in zip(rows, timed, strict=True)]
    samplers: list[dict[str, Any]] = []
    for cores in arguments.cores if arguments.sampler_steps else ():
        with console.status(f"timing samplers on {cores} cores"):
            samplers += mt10_rates(python, num_envs=arguments.num_envs, num_steps=arguments.sampler_steps, cores=cores)
    return {
        "envpool": {"envpool": ENVPOOL_VERSION, "mujoco": ENVPOOL_MUJOCO},
        "tasks": together,
        "mean": _means(together),
        "samplers": samplers,
    }


def _multiples(row: dict[str, Any], its: dict[str, float]) -> dict[str, float]:
    """Of each one's own physics."""
    return {
        "over_physics": row["fast_us"] / row["physics_us"],
        "envpool_over_physics": its["envpool_us"] / its["envpool_physics_us"],
    }


def _print_samplers(console: Console, samplers: Sequence[dict[str, Any]]) -> None:
    headings, rows = rate_table(samplers)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    if rows:
        console.print(table)
