"""One run of `metarl sweep`, in a process of its own that ends with the sweep: no command of its own."""

from __future__ import annotations

import os

from metarl.cli.main import main as metarl
from metarl.runs.die_with_parent import die_with_parent


def main(words: list[str]) -> int:
    """The sweep's process id, or 0 for whoever started this; how nice to be, and the words of a `metarl` command."""
    parent, niceness, *command = words
    die_with_parent(int(parent) or os.getppid())
    os.nice(int(niceness))
    return metarl(command)
