"""Rules for the words of a command line that several commands share."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.errors import UserError

HELP = ("-h", "--help")


def is_help(rest: Sequence[str]) -> bool:
    return any(word in HELP for word in rest)


def no_arguments(command: str, rest: Sequence[str]) -> None:
    if rest:
        raise UserError(f"metarl {command} takes no arguments, got {' '.join(rest)!r}; leave them out")
