"""µs a step and ms a reset of every Meta-World task: metaworld's own, ours, and the bare physics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from metarl.envs.metaworld.fast.bench import bench_task
from metarl.envs.metaworld.goals import check_task_name
from metarl.envs.metaworld.names import TASK_NAMES
from metarl.files import replace_file
from metarl.runs.directory import environment

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


@dataclass(frozen=True)
class Arguments:
    """Time metaworld's stepping, ours and the bare physics (mj_step of 5 substeps, mj_forward) on the same states."""

    tasks: tuple[str, ...] = ()
    """Task names; all 50 if none is given."""
    steps: int = 500
    """Timed steps of each task, in blocks of 10 of which the median counts."""
    json: Path | None = None


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench metaworld")
    names = arguments.tasks or TASK_NAMES
    for name in names:
        check_task_name(name)
    console = Console()
    rows = [
        bench_task(name, steps=arguments.steps)
        for name in track(names, description="timing", console=console, transient=True)
    ]
    means: dict[str, Any] = {column: float(np.mean([row[column] for row in rows])) for column in COLUMNS}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("task", no_wrap=True)
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in [*rows, {"task": f"mean of {len(rows)}", **means}]:
        table.add_row(str(row["task"]), *(format(row[column], digits) for column, (_, digits) in COLUMNS.items()))
    console.print(table)
    console.print(LEGEND)
    first = means["metaworld_reset_ms"] / means["new_goal_reset_ms"]
    later = means["metaworld_reset_ms"] / means["known_goal_reset_ms"]
    console.print(f"resets, ratio of mean times: {first:.1f} times faster for a new goal, {later:.0f} for a seen one")
    if arguments.json is not None:
        content = {"environment": environment(), "steps": arguments.steps, "tasks": rows, "mean": means}
        replace_file(arguments.json, json.dumps(content, indent=1).encode())
    return 0
