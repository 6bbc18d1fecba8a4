"""`metarl list`: what there is, by what it is for; a line each, or with `--verbose` all that each says of itself."""

from __future__ import annotations

from collections.abc import Mapping
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
from metarl.zoo.entries import cards

GROUPS = {
    "robot skills": ("skill_", "walk_"),
    "Meta-World": ("ml1_", "ml10_", "mt1_", "mt10_", "mt50_", "cw10_"),
    "MuJoCo's robots": ("ant_", "cheetah_", "halfcheetah_"),
    "small problems, and gymnasium's envs plugged in": ("navigation", "bandit_", "cartpole_", "pendulum_"),
    "few-shot learning": ("arrays", "digits_", "images", "intents", "omniglot", "robot_failures_", "sinusoid_"),
}
"""Of experiments, by how their names begin."""
OTHERS = "others"
FILE_WIDTH = 400
"""Of a line that goes to a file or another program."""


def main(rest: list[str]) -> int:
    if is_help(rest):
        print("usage: metarl list [--verbose]\n\nExperiments, agents, task distributions and few-shot methods by name;")
        print("--verbose tells all that each says, and what each task distribution is: horizon, sizes, tasks, source.")
        return 0
    verbose = "--verbose" in rest
    no_arguments("list", [word for word in rest if word != "--verbose"])
    agents = all_agents()
    envs = all_envs()
    rows = {f"{group}: metarl train NAME": experiments for group, experiments in by_group(listed()).items()}
    rows["trained agents: metarl play zoo:NAME"] = {name: card.about for name, card in cards()[0].items()}
    rows["agents (agents/)"] = {name: entry.description for name, entry in agents.items()}
    if not verbose:
        rows["task distributions (envs/)"] = {name: e.description for name, e in envs.items()}
    rows["few-shot methods (metarl/fewshot/)"] = {name: m.description for name, m in METHODS.items()}
    rows["few-shot data"] = {
        name: d.description + (f" (needs {d.needs})" if d.needs else "") for name, d in DATASETS.items()
    }
    console = RichConsole()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    width = max(len(name) for descriptions in rows.values() for name in descriptions)
    for title, descriptions in rows.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        table.add_column(min_width=width, no_wrap=True)
        table.add_column(no_wrap=not verbose, overflow="ellipsis")
        for name, description in descriptions.items():
            table.add_row(cell(name), cell(description))
        console.print(table)
    if verbose:
        _print_distributions(envs)
    return 0


def by_group(experiments: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Those of another package are the last."""
    groups: dict[str, dict[str, str]] = {group: {} for group in (*GROUPS, OTHERS)}
    for name, about in experiments.items():
        group = next((group for group, begins in GROUPS.items() if name.startswith(begins)), OTHERS)
        groups[group][name] = about.removeprefix("Robot skill: ")
    return {group: found for group, found in groups.items() if found}


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
