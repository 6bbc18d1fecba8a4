"""The page of a report: plain values in, one HTML file out that asks nothing of any network and runs no script.

Every string may be a stranger's (`metarl.records.stored`): it is made printable, cut to a readable length and escaped,
in one place (`_shown`). What is not escaped is `Markup` that our own code drew.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metarl.report.drawing import Figure
from metarl.text import short

LONGEST = 600
"""Characters of a string; the middle of a longer one is left out."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy: inline styles and pictures that lie in the page, and nothing else."""


@dataclass(frozen=True)
class Card:
    """A number that stands out."""

    value: str
    about: str


@dataclass(frozen=True)
class Picture:
    """Moving or still, kept in the page."""

    title: str
    source: Markup
    """A data URI."""
    still: Markup | None = None
    """Of a moving one, for those who want no motion."""
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; a cell is a text or a picture."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str | Picture, ...]]
    note: str = ""


@dataclass(frozen=True)
class Share:
    """Of the time that a run took."""

    name: str
    seconds: str
    share: float
    """In [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page, under a heading."""

    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    pictures: Sequence[Picture] = ()
    shares: Sequence[Share] = ()
    table: Table | None = None
    code: Sequence[str] = ()
    """Commands to be copied."""
    folded: bool = False
    """Shown when it is asked for, and in print."""

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.figures or self.pictures or self.shares or self.table or self.code)


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a report shows."""

    title: str
    about: str
    """What the experiment is, by its own words."""
    sentence: str
    cards: Sequence[Card]
    sections: Sequence[Section]
    made_by: str


def render(page: Page) -> bytes:
    """One HTML file, whose texts are escaped."""
    environment = Environment(
        loader=PackageLoader("metarl.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    return template.render(page=page, policy=Markup(POLICY), Picture=Picture).encode()


def data_uri(content: bytes, kind: str) -> Markup:
    """`kind`: such as image/webp."""
    return Markup("data:{};base64,{}").format(kind, base64.b64encode(content).decode())


def _shown(value: Any) -> Any:
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return short(value, LONGEST)
