"""Figures as SVG inside a page: the same bytes for the same numbers, in the page's own colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from metarl.scores.plots import COLORS, MARKERS, new_figure
from metarl.text import label, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Stands for the colour of the page's text."""
SHAPES = dict(zip(MARKERS, "●■▲◆▼✚", strict=True))
"""A marker of matplotlib's as a character of a legend."""
WIDTH, HEIGHT = 4.4, 2.9
"""Inches of a panel: about what a phone is wide, so that its words are legible there as they are."""


@dataclass(frozen=True)
class Key:
    """A line of a legend. It stands in HTML, where a long name wraps."""

    color: int
    """Number of the curve."""
    label: str

    @property
    def shape(self) -> str:
        return SHAPES[MARKERS[self.color % len(MARKERS)]]


@dataclass(frozen=True)
class Figure:
    """A drawing for the page, with the keys to its colours."""

    title: str
    svg: Markup
    keys: tuple[Key, ...] = ()


def on_axis(text: str) -> str:
    """For a picture, which has room for so much."""
    return label(short(text, 40))


@contextmanager
def panel(name: str, *, width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple[Axes, list[Markup]]]:
    """Axes to draw in; at the end of the `with` the list holds the SVG. `name` is read to those who do not see it."""
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",  # the page's own letters: small, and they can be searched
        "svg.hashsalt": name,  # ids of two figures of a page differ
        "font.size": 9,
        "axes.unicode_minus": True,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
        "grid.color": INK,
    }
    drawn: list[Markup] = []
    with matplotlib.rc_context(settings):
        figure = new_figure(width=width, height=height)
        axes = figure.subplots()
        yield axes, drawn
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        content = io.BytesIO()
        figure.savefig(content, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    drawn.append(_inline(content.getvalue().decode(), name))


_METADATA = ("Date", "Creator", "Format", "Type")
"""Left out: a date would make each file another one."""


def _inline(svg: str, name: str) -> Markup:
    """Without the head of a file, as wide as the page lets it be, in colours that the page defines."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    box = re.search(r'viewBox="([\d. ]+)"', svg)
    assert box is not None
    body = body.replace(INK, "currentColor")
    for number, color in enumerate(COLORS):
        body = body.replace(color, f"var(--c{number})")
    return Markup('<svg viewBox="{}" role="img" aria-label="{}">{}').format(box[1], short(name, 200), Markup(body))
