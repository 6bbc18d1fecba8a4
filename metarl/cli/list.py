"""`metarl list`: experiments, agents and task distributions by name; `--verbose` for what each distribution is."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from metarl.agents.registry import all_agents
from metarl.cli.words import is_help, no_arguments
from metarl.envs.registry import all_envs
from metarl.fewshot.registry import DATASETS, METHODS
from metarl.runs.find import listed
from metarl.text import cell


def main(rest: list[str]) -> int:
    if is_help(rest):
        print("usage: metarl list [--verbose]\n\nExperiments, agents, task distributions and few-shot methods by name;")
        print("--verbose tells what each task distribution is: its horizon, sizes, tasks, split and source.")
        return 0
    verbose = "--verbose" in rest
    no_arguments("list", [word for word in rest if word != "--verbose"])
    agents = all_agents()
    envs = all_envs()
    rows = {
        "experiments: metarl train NAME": listed(),
        "agents (agents/)": {name: entry.description for name, entry in agents.items()},
    }
    if not verbose:
        rows["task distributions (envs/); --verbose tells more"] = {name: e.description for name, e in envs.items()}
    rows["few-shot methods (metarl/fewshot/)"] = {name: m.description for name, m in METHODS.items()}
    rows["few-shot data"] = {
        name: d.description + (f" (needs {d.needs})" if d.needs else "") for name, d in DATASETS.items()
    }
    for title, descriptions in rows.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        for name, description in descriptions.items():
            table.add_row(cell(name), cell(description))
        RichConsole().print(table)
    if verbose:
        _print_distributions(envs)
    return 0


def _print_distributions(envs: dict[str, Any]) -> None:
    """Plain lines rather than a table: five columns of sentences fit no terminal."""
    console = RichConsole(highlight=False)
    console.print("task distributions (envs/)\n")
    for name, entry in envs.items():
        spec = entry.make().spec
        actions = f"{spec.action_dim} {'discrete actions' if spec.discrete else 'continuous actions'}"
        console.print(Text.assemble((name, "bold"), f": {entry.description}"))
        console.print(f"  horizon {spec.horizon_steps} steps, {spec.obs_dim} observations, {actions}", markup=False)
        for label, text in (("tasks", entry.parameters), ("split", entry.split), ("source", entry.source)):
            if text:
                console.print(f"  {label}: {text}", markup=False)
