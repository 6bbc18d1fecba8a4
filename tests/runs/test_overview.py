"""The page of results: made anew from our records it is what stands in git."""

from __future__ import annotations

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.results import overview
from metarl.runs.figures import MARKED, documents, filled_in
from metarl.runs.find import experiments_directory
from metarl.runs.overview import BENCHMARKS, one_page
from metarl.runs.stored import read_results

REMAKE = "run `metarl results` and `metarl fewshot table`"


def test_the_tables_in_git_are_those_of_the_records() -> None:
    folder = experiments_directory()
    records = dict(read_results(folder / "results"))
    page = (folder / "README.md").read_text()
    assert page == one_page(records), REMAKE
    assert (folder / "FEW_SHOT.md").read_text() == "\n".join(overview(folder / "results")), REMAKE
    assert len(page.splitlines()) < 150 and all(page.count(f"| {name} ") == 1 for name in records)
    assert all(f"## {benchmark}" in page for benchmark in BENCHMARKS)


def test_the_figures_in_the_docs_are_those_of_the_records() -> None:
    records = dict(read_results(experiments_directory() / "results"))
    texts = {path.name: path.read_text() for path in documents(experiments_directory())}
    assert {name for name, text in texts.items() if MARKED.search(text)} >= {"README.md", "fewshot.md"}
    for name, text in texts.items():
        assert filled_in(text, records) == text, f"{name} is stale: run `metarl results`"
    stale = "<!--=navigation_meta_sgd//stochastic/3/return-->-9.9<!---->"
    stale += "<!--=clinc_ridge/5w1s/inductive/last/accuracy-->1<!---->"
    assert [m["shown"] for m in MARKED.finditer(filled_in(stale, records))] == ["-2.3", "82"]
    with pytest.raises(UserError, match="no record has the figure 'navigation_mamll//stochastic/3/return'"):
        filled_in("<!--=navigation_mamll//stochastic/3/return-->1<!---->", records)


def test_one_record_is_shown_in_full(capsys) -> None:
    assert main(["results", "--show", "navigation_meta_sgd"]) == 0
    assert "| meta-trained |  | stochastic | 3 | **-2.3" in capsys.readouterr().out
    assert main(["results", "--show", "navigation_mta_sgd"]) == 2
    assert "has no record 'navigation_mta_sgd'" in capsys.readouterr().err
