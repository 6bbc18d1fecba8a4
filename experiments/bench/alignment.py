"""All 50 Meta-World tasks beside metaworld's own envs: the largest difference of anything that an episode returns."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from metarl.envs.metaworld.alignment import DRIVERS, TOLERANCE, VALUES, compare, expert_success, leak
from metarl.envs.metaworld.fast import SawyerLane, SawyerModel
from metarl.errors import UserError
from metarl.experiments.bench._alignment_tables import summary
from metarl.experiments.bench._metaworld_page import ALIGNMENT, chosen_tasks, store_and_show
from metarl.experiments.bench._record import Record, origin, settings_of
from metarl.files import replace_file
from metarl.validate import check_counts


@dataclass(frozen=True)
class Arguments:
    """Compare our stepping with metaworld's under the same goals and actions. Exits with 1 where they differ.

    Observations, rewards of both versions, success, every info value, truncation and resets; with random actions, the
    scripted expert's, and both in turn. Further the expert's success on both sides, and what a hidden goal shows.
    """

    tasks: tuple[str, ...] = ()
    """Task names; all 50 if none is given."""
    episodes: int = 2
    """In a row in one env, each at a new goal: for each reward version and kind of actions."""
    steps: int = 500
    """Of each episode; 500 reach its end, the truncation."""
    goals: int = 10
    """Of MT1's own: where the expert is tried."""
    workers: int = 2
    """Processes; the numbers do not depend on them. 0: this one does it."""
    json: Path | None = None
    write: bool = False
    """Store the record in experiments/results/bench/, and make docs/metaworld.md of it; of all 50 tasks."""


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench alignment")
    check_counts(episodes=arguments.episodes, steps=arguments.steps, goals=arguments.goals)
    if arguments.steps > SawyerLane.HORIZON:
        raise UserError(f"--steps {arguments.steps} is more than an episode has; give {SawyerLane.HORIZON} at most")
    if arguments.workers < 0:
        raise UserError(f"--workers {arguments.workers} must be >= 0; give the number of processes")
    names = chosen_tasks(arguments.tasks, write=arguments.write)
    console = Console()
    of_task = partial(aligned, arguments=arguments)
    with contextlib.ExitStack() as stack:
        rows = map(of_task, names)
        if arguments.workers:
            spawned = multiprocessing.get_context("spawn").Pool(min(arguments.workers, len(names)))
            rows = stack.enter_context(spawned).imap(of_task, names)
        tasks = list(track(rows, description="comparing", total=len(names), console=console, transient=True))
    record = {"settings": settings_of(arguments), **origin(), "tasks": tasks}
    table = Table("compared", "largest difference", "in", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in summary(record):
        table.add_row(*row)
    console.print(table)
    if arguments.json is not None:
        replace_file(arguments.json, json.dumps(record, indent=1).encode())
    if arguments.write:
        store_and_show(ALIGNMENT, record, console)
    unequal = [task["task"] for task in tasks if not is_aligned(task)]
    if unequal:
        console.print(f"more than {TOLERANCE:g} from metaworld: {', '.join(unequal)}")
    return int(bool(unequal))


def aligned(env_name: str, *, arguments: Arguments) -> dict[str, Any]:
    """A task's row of the record."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Constant")  # Meta-World's experts ask for more than they get
        return _aligned(env_name, arguments)


def _aligned(env_name: str, arguments: Arguments) -> dict[str, Any]:
    hidden = SawyerModel(env_name)
    rows = []
    for shared, drivers in (
        (hidden, DRIVERS),
        (SawyerModel(env_name, reward_version="v1"), DRIVERS),
        (SawyerModel(env_name, goal_visible=True), ("mixed",)),
    ):
        of_model = {"rewards": shared.reward_version, "goal": "shown" if shared.goal_visible else "hidden"}
        for seed, driver in enumerate(drivers):
            found = compare(shared, driver, seed=seed, steps=arguments.steps, episodes=arguments.episodes)
            rows.append({**of_model, "actions": driver, **asdict(found)})
    return {
        "task": env_name,
        "compared": rows,
        "expert": asdict(expert_success(env_name, goals=arguments.goals)),
        "leak": asdict(leak(hidden, seed=0, steps=100)),
    }


def is_aligned(task: Record) -> bool:
    """Whether nothing of a task differs by more than the tolerance, and the expert succeeds at the same steps."""
    within = all(c[value] <= TOLERANCE for c in task["compared"] for value in VALUES)  # NaN is not
    same = all(c["flags"] == 0 for c in task["compared"])
    return within and same and task["expert"]["same_step"] == task["expert"]["goals"]
