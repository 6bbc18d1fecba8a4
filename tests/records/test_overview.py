"""The page of results: made anew from our records it is what stands in git."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.results import overview
from metarl.records.compact import Record
from metarl.records.figures import MARKED, benches_in, documents, filled_in
from metarl.records.overview import BENCHMARKS, one_page
from metarl.records.promises import PROMISE, promise, with_promises
from metarl.records.stored import read_results
from metarl.runs.find import experiments_directory

REMAKE = "run `metarl results` and `metarl fewshot table`"


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return dict(read_results(experiments_directory() / "results"))


def test_the_tables_in_git_are_those_of_the_records(records: dict[str, Record]) -> None:
    folder = experiments_directory()
    page = (folder / "README.md").read_text()
    assert page == one_page(records), REMAKE
    assert (folder / "FEW_SHOT.md").read_text() == "\n".join(overview(folder / "results")), REMAKE
    assert len(page.splitlines()) < 150 and all(page.count(f"| {name} ") == 1 for name in records)
    assert all(f"## {benchmark}" in page for benchmark in BENCHMARKS)


def test_the_figures_in_the_docs_are_those_of_the_records(records: dict[str, Record]) -> None:
    benches = benches_in(experiments_directory() / "results")
    texts = {path.name: path.read_text() for path in documents(experiments_directory())}
    assert {name for name, text in texts.items() if MARKED.search(text)} >= {"README.md", "fewshot.md", "skills.md"}
    for name, text in texts.items():
        assert filled_in(text, records, benches) == text, f"{name} is stale: run `metarl results`"


@pytest.mark.parametrize(
    ("figure", "stale", "shown"),
    [
        ("navigation_meta_sgd//stochastic/3/return", "-9.9", "-2.3"),
        ("navigation_meta_sgd//stochastic/3/return/low", "-9.9", "-2.6"),
        ("walk_direction//deterministic/0/return/untrained", "9", "11"),
        ("mt10_sac//deterministic/0/success_last/seed2", "9", "92"),
        ("omniglot_maml/5w1s1q/transductive/1/accuracy/half", "9.9", "0.5"),
        ("clinc_ridge/5w1s/inductive/last/accuracy", "1", "82"),
        ("ml10_rl2/first_come/deterministic/last", "9", "60"),
        ("ml1_push_rl2/minutes", "9", "35 to 65"),
        ("skill_insert_peg/minutes", "9 to 10", "37"),
        ("skill_open_drawer/million_env_steps", "9.9", "2.8"),
        ("bench/rollout_ml10/arguments/repeats", "9", "3"),
        ("bench/scaling/rows/4/workers", "9", "16"),
        ("bench/metaworld_alignment/settings/steps over goals", "9.9", "50.0"),
        ("bench/scaling/message_bytes", "9,999", "89,194"),
        ("zoo/skill_insert_peg//deterministic/last/success_any", "9", "96"),
        ("zoo/bandit_rl2//stochastic/last/return/low", "9.9", "69.6"),
        ("zoo/digits_prototypical/5w1s/inductive/last/accuracy/untrained", "9.9", "31.6"),
        ("zoo/mt10_sac/minutes", "9", "22"),
    ],
)
def test_a_stale_figure_is_filled_in_as_it_was_written(
    figure: str, stale: str, shown: str, records: dict[str, Record]
) -> None:
    benches = benches_in(experiments_directory() / "results")
    (found,) = MARKED.finditer(filled_in(f"<!--={figure}-->{stale}<!---->", records, benches))
    assert found["shown"] == shown


@pytest.mark.parametrize(
    "figure",
    [
        "navigation_mamll//stochastic/3/return",
        "navigation_maml//stochastic/9/return",
        "navigation_maml//stochastic/3/return/median",
        "navigation_maml//stochastic/3/return/seed9",
        "navigation_maml//stochastic",
        "ml1_reach_maml/first_come/sampled/last",
        "bench/rollout_ml11/arguments/repeats",
        "bench/../ml10_rl2/config",
        "bench/rollout_ml10/arguments",
        "bench/scaling/rows/99/workers",
        "zoo/skill_insert_pegs//deterministic/last/success_any",
        "zoo/skill_insert_peg//deterministic/99/success_any",
        "zoo/skill_insert_peg/hours",
        "zoo/../card/minutes",
    ],
)
def test_a_figure_that_no_record_has_is_refused(figure: str, records: dict[str, Record]) -> None:
    with pytest.raises(UserError, match="no record has the figure"):
        filled_in(f"<!--={figure}-->1<!---->", records, benches_in(experiments_directory() / "results"))


PUBLISHED = {
    "README.md": ["Meta-World 3.1", "published: about 35", "90.7", "TD-MPC2 agents: 94", "98.8"],
    "numbers.md": [
        "published at about 35 % for 20M",
        "published: ten TD-MPC2 agents 90.7 % at the last step, SAC 47.7",
        "published: ten TD-MPC2 agents 94 % at the last step",
        *("paper: -51, 293 at 256M", "paper: 98.8 / 99.7 / 96.0", "paper: 98.1 / 98.9 / 93.8", "paper: 98.7 / 99.9"),
        *("paper: 95.8", "MAML's Table 1: 97.3 %", "Koch: 92.0", "to 28 pixels", "Lake's 20 runs", "of 16 kinds"),
        *("20 ways", "95 % interval", "published at 74.2 %"),
    ],
    "skills.md": ["0 to 3 m/s", "above 2.4 m/s"],
}
"""Numbers in tables that no record of ours has: others' results, settings, and the score on a card of the zoo."""
NUMBER = re.compile(r"(?<![\w.²-])-?\d[\d.,]*M?(?![\w-])")
"""No part of a name, such as ML10, 5-way or 200k."""


def bare_numbers(text: str, known: Sequence[str]) -> list[str]:
    """In the rows of tables, without what is marked, in code, linked to, or known."""
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    for words in known:
        rows = rows.replace(words, "")
    rows = re.sub(r"<!--=.*?<!---->|`[^`]*`|\[[^]]*\]\([^)]*\)", "", rows)
    return NUMBER.findall(rows)


@pytest.mark.parametrize("document", PUBLISHED)
def test_no_table_has_a_number_that_nobody_fills_in(document: str) -> None:
    (path,) = (path for path in documents(experiments_directory()) if path.name == document)
    text = path.read_text()
    assert not bare_numbers(text, PUBLISHED[document]), "mark it (metarl/records/figures.py), or name its source here"
    assert all(words in text for words in PUBLISHED[document])


def test_a_number_in_a_table_is_seen() -> None:
    row = "| ML10, 5-way, 200k | `seed 3` | <!--=a/b-->4<!----> % | 41 % in 2M or 1.5 s, paper: 98.8 |\nNo 7 in text"
    assert bare_numbers(row, ["paper: 98.8"]) == ["41", "2M", "1.5"]


def test_docstrings_of_experiments_promise_what_their_records_show(records: dict[str, Record]) -> None:
    promised = with_promises(experiments_directory(), records)
    assert len(promised) > 25
    for path, source in promised.items():
        assert path.read_text() == source, f"{path.name} is stale: run `metarl results`"
    assert "success 100% [98, 100], 30% [13, 46] before adaptation; 2.0M env steps, 4 minutes, 3 seeds." in promise(
        "ml1_reach_maml", records["ml1_reach_maml"]
    )


RESULT = re.compile(r"\d %|\d minutes|\d min\b|seeds? \d|\(seed|untrained")


@pytest.mark.parametrize("path", sorted(experiments_directory().glob("*.py")), ids=lambda path: path.stem)
def test_no_docstring_of_an_experiment_has_a_result_that_nobody_fills_in(path: Path) -> None:
    said = PROMISE.sub("", ast.get_docstring(ast.parse(path.read_text())) or "")
    assert not RESULT.search(said), "results stand in records: end the docstring with a line `Record: ...`"


def test_one_record_is_shown_in_full(capsys) -> None:
    assert main(["results", "--show", "navigation_meta_sgd"]) == 0
    assert "| meta-trained |  | stochastic | 3 | **-2.3" in capsys.readouterr().out
    assert main(["results", "--show", "navigation_mta_sgd"]) == 2
    assert "has no record 'navigation_mta_sgd'" in capsys.readouterr().err


def test_what_is_rewritten_is_said_and_nothing_else_is_touched(tmp_path: Path, monkeypatch, capsys) -> None:
    folder = tmp_path / "experiments"
    (folder / "results").mkdir(parents=True)
    shutil.copy(experiments_directory() / "results" / "skill_insert_peg.json", folder / "results")
    (tmp_path / "pyproject.toml").touch()  # a checkout
    readme = tmp_path / "README.md"
    readme.write_text("<!--=skill_insert_peg/minutes-->9<!----> <!--=skill_insert_peg/million_env_steps-->8<!---->")
    for place in ("metarl.records.places", "metarl.experiments.bench._metaworld_page"):
        monkeypatch.setattr(f"{place}.experiments_directory", lambda: folder)
    assert main(["results"]) == 0
    *tables, said = capsys.readouterr().out.splitlines()
    assert tables == [f"rewrote {folder / name}" for name in ("RESULTS.md", "README.md")]
    assert said == f"rewrote {readme}: skill_insert_peg/minutes was 9, is 37"
    written = readme.stat().st_mtime_ns
    assert main(["results"]) == 0
    assert capsys.readouterr().out == "nothing changed: the tables and figures are what the records make of them\n"
    assert readme.stat().st_mtime_ns == written
