"""Text of anybody's is shown, and obeyed neither by the terminal nor by a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from rich.console import Console

from metarl.cli.classify import Answer, _write
from metarl.cli.main import main
from metarl.scores.plots import draw_curves, new_figure
from metarl.text import cell, csv_cell, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 1 [/x]", "größe 1 [/x]"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\r\tc\x07", "a\\nb\\r\\tc\\x07"),
        ("\u202etxt.exe", "\\u202etxt.exe"),  # read from right to left
        ("not UTF-8 \udcff", "not UTF-8 \\udcff"),
        ("\u3000wide\xa0space", "\u3000wide\xa0space"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_stay_lines() -> None:
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"


@pytest.mark.parametrize("text", ["[/x]", "[red]a", "\\[bold]", "[link=file:///x]y[/link]", "ends with \\"])
def test_rich_takes_no_markup_of_a_cell(text: str, capsys) -> None:
    Console().print(cell(text))
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *(("=1+1", "'=1+1"), ("@x", "'@x"), ("+x", "'+x"), ("-x", "'-x"), (" =x", "' =x"), ("\t=x", "'\t=x")),
        *(("\ufeff=x", "'\ufeff=x"), ("\x00=x", "'\x00=x"), ("\uff1dx", "'\uff1dx"), ("\tx", "'\tx"), ("\rx", "'\rx")),
        ("p\udcff", "p\\udcff"),
        *(("-3.5", "-3.5"), ("+7", "+7"), ("1e-3", "1e-3"), ("a=b", "a=b"), ("", ""), (-2, "-2")),
    ],
)
def test_formulas_become_text(value, written: str) -> None:
    assert csv_cell(value) == written


def test_answers_in_a_spreadsheet_are_no_formulas(tmp_path: Path) -> None:
    _write(tmp_path / "a.csv", [Answer('=HYPERLINK("x")', "@class", 0.5, "-1")])
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert row == {"query": '\'=HYPERLINK("x")', "answer": "'@class", "probability": "0.5000", "label": "-1"}


def test_the_name_of_a_file_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    _write(tmp_path / "a.csv", [Answer("part\udcff.png", "a", 0.5, None)])
    assert "part\\udcff.png" in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize("name", ["a $ b", "$\\frac$", "_hidden"])
def test_a_label_in_a_picture_is_no_mathematics(name: str, tmp_path: Path) -> None:
    figure = new_figure(width=3, height=3)
    axes = figure.subplots()
    draw_curves(axes, {name: [(0.0, 0.0, 0.0)]})
    axes.legend()
    figure.savefig(tmp_path / "a.png")
    assert len(axes.get_legend_handles_labels()[1]) == 1


def test_a_run_directory_of_any_name_is_evaluated(tmp_path: Path, capsys) -> None:
    run = tmp_path / "runs" / "[" / "x]\x1b[31m"
    small = ["--iterations", "1", "--meta-batch-size", "1", "--support-episodes", "1", "--query-episodes", "1"]
    small += ["--max-tasks", "1", "--test-episodes", "1", "--adaptation-episodes", "1", "--workers", "0"]
    assert main(["train", "navigation_maml", "--out", str(run), *small]) == 0
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "[/x]" in printed.out.replace("\n", "")
