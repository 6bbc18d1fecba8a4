"""Rules for the words of a command line that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from metarl.errors import UserError

HELP = ("-h", "--help")

TrustFlag = Annotated[
    bool, arg(help="Read the files that the run's config names, and run the experiment file that it keeps.")
]
ExperimentFlag = Annotated[
    Path | None,
    arg(help="Your own experiment file, of a run of one; it is run in place of the one that the run keeps."),
]
"""Options of every command that reads a run (`metarl.runs.trust`)."""


PLACES = ("--out", "--into", "--save", "--json")
"""Options that say where a command writes."""


def check_places(rest: Sequence[str]) -> None:
    """Raises UserError for a place without a name, as of a shell's unset variable: as a path it is where one stands."""
    empty = next((option for option, word in pairwise(rest) if option in PLACES and not word), None)
    empty = empty or next((option for option in PLACES if f"{option}=" in rest), None)
    if empty:
        raise UserError(f"{empty} '' names no place; give a path, or leave {empty} out")


def check_target(path: Path | None, *, flag: str) -> None:
    """Raises UserError, before there is anything to lose, for a place where no file can be put; None is not given."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{flag} {path} is a directory; give the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no directory {path.parent}; make it, or give another {flag}")


def is_help(rest: Sequence[str]) -> bool:
    return any(word in HELP for word in rest)


def no_arguments(command: str, rest: Sequence[str]) -> None:
    if rest:
        raise UserError(f"metarl {command} takes no arguments, got {' '.join(rest)!r}; leave them out")
