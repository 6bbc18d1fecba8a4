"""Tables of `metarl bench metaworld --against envpool`'s record."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.experiments.bench._record import Record, made, markdown

OURS, ENVPOOL, ASYNC, SYNC, SB3 = "metarl", "EnvPool", "metaworld async", "metaworld sync", "metaworld in SB3"
"""Names of the samplers."""


def summary(record: Record) -> list[list[str]]:
    """[figure, value] of what is asked for."""
    mean, tasks = record["mean"], record["tasks"]
    slower = [task["task"] for task in tasks if task["over_physics"] > task["envpool_over_physics"]]
    rows = [
        ["our step, mean of the tasks, as a multiple of bare physics", f"{mean['over_physics']:.2f}"],
        ["EnvPool's, of its own physics", f"{mean['envpool_over_physics']:.2f}"],
        ["tasks where ours is the slower one by that measure", f"{len(slower)} of {len(tasks)}"],
        ["metaworld's step, times ours", f"{mean['metaworld_us'] / mean['fast_us']:.1f}"],
    ]
    rates = _rates(record["samplers"])
    for (sampler, cores, policy), rate in rates.items():
        if sampler == OURS:
            multiples = (f"{rate / rates[other, cores, policy]:.1f}" for other in (ENVPOOL, ASYNC))
            what = f"our sampler, {cores} core{'s' * (cores > 1)}, {policy}: times EnvPool's / metaworld's async"
            rows.append([what, " / ".join(multiples)])
    return rows


def summary_table(record: Record) -> list[str]:
    about = f"{made(record)}; EnvPool {record['envpool']['envpool']} with MuJoCo {record['envpool']['mujoco']}."
    return [*markdown(("figure", ""), summary(record)), "", about]


def task_table(record: Record) -> list[str]:
    columns = {
        "metaworld_us": ".0f",
        "fast_us": ".0f",
        "physics_us": ".0f",
        "over_physics": ".2f",
        "envpool_us": ".0f",
        "envpool_physics_us": ".0f",
        "envpool_over_physics": ".2f",
    }
    rows = [
        [row["task"], *(format(row[column], digits) for column, digits in columns.items())]
        for row in [{"task": "**mean**", **record["mean"]}, *record["tasks"]]
    ]
    headings = ("task", "metaworld", "ours", "physics", "ours / physics", "EnvPool", "its physics", "EnvPool / physics")
    return markdown(headings, rows)


def sampler_table(record: Record) -> list[str]:
    headings, rows = rate_table(record["samplers"])
    return markdown(headings, rows)


def rate_table(samplers: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """(headings, rows) of env steps/s, a column for each number of cores and policy."""
    rates = _rates(samplers)
    settings = list(dict.fromkeys((cores, policy) for _, cores, policy in rates))
    headings = ["env steps/s", *(f"{cores} core{'s' * (cores > 1)}, {policy}" for cores, policy in settings)]
    names = dict.fromkeys(sampler for sampler, _, _ in rates)
    return headings, [[name, *(f"{rates[name, *setting]:,.0f}" for setting in settings)] for name in names]


def _rates(samplers: Sequence[Record]) -> dict[tuple[str, int, str], float]:
    return {(row["sampler"], row["cores"], row["policy"]): row["steps_per_second"] for row in samplers}
