"""`metarl doctor`: what this machine has, and what it lacks."""

from __future__ import annotations

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.table import Table

from metarl.cli.process.machine import report
from metarl.cli.words import is_help, no_arguments


def main(rest: list[str]) -> int:
    if is_help(rest):
        print("usage: metarl doctor\n\nWhat this machine has, and what it lacks: a line each, with ok, warn or fail.")
        return 0
    no_arguments("doctor", rest)
    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table("what", "found", "")
    rows = list(report())
    for name, value, status in rows:
        table.add_row(name, escape(value), f"[{colors[status]}]{status}[/]")
    RichConsole().print(table)
    return 1 if any(status == "fail" for _, _, status in rows) else 0
