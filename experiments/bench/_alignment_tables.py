"""Tables of `metarl bench alignment`'s record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarl.experiments.bench._record import Record, made, markdown


def number(value: float) -> str:
    """Of a difference: 0, or one digit of it."""
    return "0" if value == 0 else f"{value:.0e}"


def compared(record: Record, **kind: str) -> list[tuple[str, Record]]:
    """(task, comparison) of each that is of this kind."""
    return [
        (task["task"], comparison)
        for task in record["tasks"]
        for comparison in task["compared"]
        if all(comparison[name] == value for name, value in kind.items())
    ]


def _largest(comparisons: Sequence[tuple[str, Record]], value: str) -> tuple[str, float]:
    """(task, difference) of the worst; NaN is the worst of all."""
    task, comparison = max(comparisons, key=lambda pair: (np.isnan(pair[1][value]), pair[1][value]))
    return task, comparison[value]


def summary(record: Record) -> list[list[str]]:
    """[what is compared, largest difference, its task] of each quantity."""
    everything = compared(record)
    of = {
        "observation at a reset": (everything, "reset"),
        "observation": (everything, "observation"),
        "reward, v2": (compared(record, rewards="v2"), "reward"),
        "reward, v1": (compared(record, rewards="v1"), "reward"),
        "every info value": (everything, "info"),
    }
    rows = []
    for what, (comparisons, value) in of.items():
        task, largest = _largest(comparisons, value)
        rows.append([what, number(largest), task if largest else ""])
    flags, steps = (sum(comparison[name] for _, comparison in everything) for name in ("flags", "steps"))
    names = ("ours", "metaworlds", "same_step", "goals")
    ours, theirs, same, goals = (sum(task["expert"][name] for task in record["tasks"]) for name in names)
    apart = [task for task in record["tasks"] if task["leak"]["goal_moved"]]
    seen = [task for task in apart if task["leak"]["observation"]]
    return [
        *rows,
        [f"success, terminated, truncated: steps that differ, of {steps:,}", str(flags), ""],
        [f"goals that the expert solves, of {goals:,}: ours / metaworld's", f"{ours:,} / {theirs:,}", ""],
        ["goals with the first success at the same step, or none", f"{same:,} of {goals:,}", ""],
        [
            "tasks in which a hidden goal is seen",
            f"{len(seen)} of {len(apart)}",
            ", ".join(f"{task['task']} ({number(task['leak']['observation'])})" for task in seen),
        ],
    ]


def summary_table(record: Record) -> list[str]:
    settings = record["settings"]
    return [
        *markdown(("compared", "largest difference", "in"), summary(record)),
        "",
        f"{made(record)}; {settings['episodes']} episodes of {settings['steps']} steps in a row for each task, reward "
        f"version and kind of actions.",
    ]


def task_table(record: Record) -> list[str]:
    rows = []
    for task in record["tasks"]:
        of_task: Record = {**record, "tasks": [task]}
        values = [_largest(compared(of_task), value)[1] for value in ("reset", "observation")]
        values += [_largest(compared(of_task, rewards=version), "reward")[1] for version in ("v2", "v1")]
        values += [_largest(compared(of_task), "info")[1]]
        expert, leak = task["expert"], task["leak"]
        rows.append(
            [
                task["task"],
                *map(number, values),
                str(sum(comparison["flags"] for _, comparison in compared(of_task))),
                f"{expert['ours']} / {expert['metaworlds']} of {expert['goals']}",
                f"{number(leak['observation'])}, {leak['steps']} steps" if leak["goal_moved"] else "not apart",
            ]
        )
    headings = ("task", "reset", "observation", "reward v2", "reward v1", "info", "flags", "expert", "hidden goal")
    return markdown(headings, rows)
