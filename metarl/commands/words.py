"""Rules for the words of a command line that several commands share."""

from __future__ import annotations

from metarl.errors import UserError


def no_arguments(command: str, rest: list[str]) -> None:
    if rest and rest != ["--help"]:
        raise UserError(f"metarl {command} takes no arguments, got {' '.join(rest)!r}; leave them out")
