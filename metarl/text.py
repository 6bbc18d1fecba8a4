"""Text that may be anybody's, for a terminal, a picture or a spreadsheet: shown, and obeyed by none."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_LONGEST = 2000
_FORMULA = ("=", "+", "-", "@")


def printable(text: object) -> str:
    """On one line, with control, direction and undecodable characters as escapes: '\\x1b[2J' for a cleared screen."""
    return "".join(character if _is_shown(character) else _escaped(character) for character in str(text))


def sentence(text: object) -> str:
    """On one line and of a readable length: the middle of a long value is left out, and the remedy at the end stays."""
    shown = printable(" ".join(str(text).splitlines()))
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 500]} ... {shown[-495:]}"


def short(text: object, most: int) -> str:
    """On one line, as `printable`, of about `most` characters; the middle of a longer text is left out."""
    shown = str(text)
    return printable(shown if len(shown) <= most else f"{shown[: most * 3 // 4]} ... {shown[-most // 4 + 5 :]}")


def printable_lines(text: object) -> str:
    """As `printable`, line by line."""
    return "\n".join(map(printable, str(text).split("\n")))


def cell(text: object) -> Text:
    """For a table, a title or a line of rich: without markup."""
    return Text(printable(text))


def label(text: object) -> str:
    """For matplotlib, where $ begins mathematics and a first _ hides a curve from the legend."""
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def csv_cell(value: object) -> str:
    """A spreadsheet takes what begins with =, +, - or @ for a formula; a quote before it makes it text.

    Some do so behind a tab, a mark or a wide letter of that meaning too. What is no character, as in the name of a
    file that is not UTF-8, is an escape.
    """
    text = str(value).encode(errors="backslashreplace").decode()
    first = next((character for character in text if character.isprintable() and not character.isspace()), "")
    is_formula = unicodedata.normalize("NFKC", first) in _FORMULA or text.startswith(("\t", "\r"))
    return f"'{text}" if is_formula and not _is_number(text) else text


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
