"""The page of a report: what is a stranger's is shown and obeyed by none, and nothing is asked of a network."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from metarl.report.drawing import panel
from metarl.report.figures import adaptation_figure, memory_figure, training_figure
from metarl.report.page import LONGEST, Card, Page, Picture, Section, Share, Table, data_uri, render
from metarl.report.training import _shares
from metarl.report.words import duration

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script src=https://example.org/x.js></script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\x1b[2J\x00\u202e",
    "$\\frac$",
    "</svg><iframe srcdoc=x>",
    "]]><!-- ",
    "x" * 10**6,
]
POINT = Picture("a", data_uri(b"\x00", "image/webp"))


class Seen(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(page: bytes) -> Seen:
    parser = Seen()
    parser.feed(page.decode())
    return parser


def page_with(text: str) -> Page:
    curves = {text: [(0.1, 0.0, 0.2), (0.9, 0.8, 1.0)]}
    figures = [
        adaptation_figure(text, "return", text, (0, 1), curves, {text: 0}),
        training_figure(text, {text: ([0.0, 1.0], [1.0, 2.0]), "b": ([0.0, 1.0], [1.0, 2.0])}, over=text),
    ]
    picture = Picture(text, POINT.source, POINT.source, text)
    section = Section(
        title=text,
        text=[text],
        figures=figures,
        pictures=[picture],
        shares=[Share(text, text, 1.0)],
        table=Table((text,), [(text,), (picture,)], text),
        code=[text],
    )
    folded = Section(title=text, text=[text], folded=True)
    return Page(
        title=text, about=text, sentence=text, cards=[Card(text, text)], sections=[section, folded], made_by=text
    )


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_string_becomes_markup_or_leaves_the_page(text: str) -> None:
    plain, page = seen(render(page_with("plain"))), render(page_with(text))
    found = seen(page)
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in plain.elements]
    for (_, attributes), (_, expected) in zip(found.elements, plain.elements, strict=True):
        assert attributes.keys() == expected.keys()
        for name in attributes.keys() & {"src", "srcset"}:
            assert (attributes[name] or "").startswith("data:image/webp;base64,")
        assert not attributes.keys() & {"href", "onerror", "onload"}
    assert not set("\x1b\x00\u202e") & set(page.decode())
    assert len(page) < 200_000 + 30 * len(LONGEST * "x")


def test_a_page_asks_nothing_of_a_network_and_runs_no_script() -> None:
    found = seen(render(page_with("plain")))
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    policies = [a["content"] for tag, a in found.elements if tag == "meta" and "http-equiv" in a]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]


def test_a_page_is_the_same_bytes_for_the_same_values() -> None:
    assert render(page_with("plain")) == render(page_with("plain"))


def test_figures_take_the_colours_of_the_page_and_share_no_id() -> None:
    curves = {"a": [(0.1, 0.0, 0.2), (0.9, 0.8, 1.0)]}
    one, other = (adaptation_figure(name, "return", "y", (0, 1), curves, {"a": 0}) for name in ("one", "other"))
    assert "currentColor" in one.svg and "var(--c0)" in one.svg and "#0072b2" not in one.svg
    ids = [{part.split('"')[0] for part in figure.svg.split(' id="')[1:] if part[0] in "pm"} for figure in (one, other)]
    clips = [{i for i in found if not i.startswith(("patch_", "matplotlib"))} for found in ids]
    assert clips[0] and clips[1] and not clips[0] & clips[1]
    assert (one.keys[0].shape, one.keys[0].label) == ("●", "a")


def test_a_memory_that_tells_no_task_apart_is_flat() -> None:
    import numpy as np

    same = np.ones((5, 3))
    assert memory_figure({"a": same, "b": same}, [5]).svg == memory_figure({"a": 2 * same, "b": 2 * same}, [5]).svg
    apart = memory_figure({"a": same, "b": np.cumsum(same, 0)}, [5])
    assert apart.svg != memory_figure({"a": same, "b": same}, [5]).svg


def test_markup_in_a_name_of_a_panel_is_text() -> None:
    with panel('"><b>') as (axes, drawn):
        axes.plot([0, 1], [0, 1])
    assert isinstance(drawn[0], Markup) and "<b>" not in drawn[0] and "&#34;&gt;&lt;b&gt;" in drawn[0]


def test_the_time_of_iterations_without_a_row_counts() -> None:
    """One iteration in ten has a row; those that were evaluated have one each."""
    rows = [{"seconds/collect": 1.0, "seconds/update": 2.0, "seconds/evaluate": 3.0}]
    shares = {share.name: share for share in _shares(rows, logged_share=0.1)}
    assert shares["collecting"].seconds == duration(10.0) and shares["learning"].seconds == duration(20.0)
    assert shares["evaluating"].seconds == duration(3.0)
    assert shares["collecting"].share == pytest.approx(10 / 33)
    assert _shares([], logged_share=1.0) == []
