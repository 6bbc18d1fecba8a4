"""`metarl list`: experiments, agents and task distributions by name."""

from __future__ import annotations

import importlib

from rich import box
from rich.console import Console as RichConsole
from rich.table import Table

from metarl.commands.words import no_arguments
from metarl.find_experiment import experiment_names, first_line


def main(rest: list[str]) -> int:
    no_arguments("list", rest)
    agents = importlib.import_module("agents.registry").AGENTS
    envs = importlib.import_module("envs.registry").ENVS
    rows = {
        "experiments: metarl train NAME": {name: first_line(name) for name in experiment_names()},
        "agents (agents/)": {name: entry.description for name, entry in agents.items()},
        "task distributions (envs/)": {name: entry.description for name, entry in envs.items()},
    }
    for title, descriptions in rows.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        for name, description in descriptions.items():
            table.add_row(name, description)
        RichConsole().print(table)
    return 0
