"""`metarl check-env NAME`: what is wrong with an environment, in sentences."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import dataclass

import tyro
from rich.console import Console as RichConsole
from tyro.conf import Positional

from metarl.envs.check_env import check
from metarl.text import printable

_COLORS = {"ok": "green", "note": "yellow", "fix": "red"}


@dataclass(frozen=True)
class CheckEnvArguments:
    """Run gymnasium's, Stable-Baselines3's and our own checks; exit code 2 where something is to fix."""

    name: Positional[str]
    """A gymnasium id, module:Env-v0, module:factory, a distribution of `metarl list`, or an experiment's .py file."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(CheckEnvArguments, args=rest, prog="metarl check-env")
    # a module beside which one stands, as `python -m` would find it
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    console, to_fix, file = RichConsole(highlight=False), 0, None
    for finding in check(arguments.name):
        to_fix += finding.status == "fix"
        file = finding.file or file
        console.print(f"[{_COLORS[finding.status]}]{finding.status:<5}[/]", end="")
        console.print(printable(f"{finding.what}: {finding.sentence}"), markup=False, soft_wrap=True)
    console.print(f"\n{to_fix} to fix" if to_fix else "\nnothing to fix")
    if file and not to_fix:
        print("\na whole experiment, in a file of your own such as my_tasks.py; then `metarl train my_tasks.py`:\n")
        print(textwrap.indent(file, "    "), end="")
    return 2 if to_fix else 0
