"""`--field value` on the command line as (name, value) pairs; what the names mean is config.py's affair."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.errors import UserError


def parse_flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs in order: `--a-b 1`, `--a-b=1` give ("a_b", "1"); a bare `--a-b` gives ("a_b", "true").

    A value may be a negative number; one that begins with two dashes needs the form with '='. `--no-a` gives
    ("no_a", "true"), which apply_overrides takes as a=false. Raises UserError at a stray word.
    """
    pairs = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, has_value, value = word[2:].partition("=")
        if not word.startswith("--") or not name:
            raise UserError(f"unexpected argument {word!r}: settings are given as --field value, a list as --field 1,2")
        if not has_value:
            value = words.pop(0) if words and _is_value(words[0]) else "true"
        pairs.append((name.replace("-", "_"), value))
    return pairs


def _is_value(word: str) -> bool:
    if not word.startswith("-"):
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True
