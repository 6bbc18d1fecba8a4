"""The zoo: from a finished run to an agent that others play, evaluate and adapt; what is refused of a stranger."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch

import metarl
from metarl.cli.main import main
from metarl.cli.zoo import headline
from metarl.runs.checkpoint import list_checkpoints, load_checkpoint
from metarl.zoo.add import without_folders
from metarl.zoo.card import Card, check_files, read_card, write_card
from metarl.zoo.entries import BUILT_IN, entries, find_entry

SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "2", "--adaptation-episodes", "2", "--num-test-tasks", "3", "--workers", "0"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "point"
    assert main(["train", "navigation_maml", "--out", str(out), *SMALL]) == 0
    return out


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory) -> Path:
    """A folder with the agent `point`."""
    folder = tmp_path_factory.mktemp("zoo")
    assert main(["zoo", "add", str(run), "--name", "point", "--into", str(folder)]) == 0
    return folder


@pytest.fixture
def zoo(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of it as the user's own zoo, and a working directory."""
    shutil.copytree(made, tmp_path / "zoo")
    monkeypatch.setenv("METARL_ZOO", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "zoo"


def test_it_holds_what_acts_in_16_bits_and_nothing_else(run: Path, made: Path) -> None:
    (whole,), (published,) = (list_checkpoints(path / "checkpoints") for path in (run, made / "point"))
    theta = load_checkpoint(whole)["learner"]["theta"]
    state = load_checkpoint(published)
    assert set(state) <= {"iteration", "env_steps", "seconds", "data", "behaviour"}
    kept = state["behaviour"]["parts"]["theta"]
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    for name, tensor in theta.items():
        torch.testing.assert_close(kept[name], tensor.half(), rtol=0, atol=0)
    assert published.stat().st_size < 0.7 * whole.stat().st_size


def test_what_is_given_away_does_not_say_where_ones_own_files_lie() -> None:
    stored = {"experiment": "images", "config": {"data": {"root": "/home/ada/parts", "size": 28}, "seed": 1}}
    given = json.loads(without_folders(json.dumps(stored).encode(), {"data.root"}))
    assert given == stored | {"config": {"data": {"root": "parts", "size": 28}, "seed": 1}}


def test_evaluate_gives_the_numbers_of_the_card_again(zoo: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", "zoo:point", "--json", str(tmp_path / "again.json")]) == 0
    again = json.loads((tmp_path / "again.json").read_text())["policies"]
    card = read_card(zoo / "point")
    assert {score.policy for score in card.scores} == {"meta-trained", "untrained"}
    for score in card.scores:
        summary = again[score.policy]["suites"][score.suite]["summary"][score.measure][score.condition]
        assert summary[score.steps]["mean"] == pytest.approx(score.mean, rel=1e-5)
    assert card.tasks == {"": 3} and card.iterations == 1


def test_play_and_adapt_write_beside_the_user(zoo: Path, tmp_path: Path) -> None:
    assert main(["play", "zoo:point", "--episodes", "1", "--size", "60", "--every", "50"]) == 0
    assert (tmp_path / "zoo_point" / "play.gif").stat().st_size > 0
    assert main(["adapt", "zoo:point", "--episodes", "1", "--test-episodes", "1", "--rounds", "1"]) == 0
    assert list((tmp_path / "zoo_point" / "adapted").iterdir())
    check_files(zoo / "point", read_card(zoo / "point"))  # nothing was put among its files


def test_load_acts(zoo: Path) -> None:
    session = metarl.load("zoo:point").session()
    assert session.act([0.0, 0.0]).shape == (2,)


def test_get_makes_a_run_directory_from_which_no_run_goes_on(zoo: Path, tmp_path: Path, capsys) -> None:
    assert main(["zoo", "get", "point"]) == 0
    check_files(tmp_path / "point", read_card(zoo / "point"))
    assert main(["evaluate", "point"]) == 0
    assert main(["train", "navigation_maml", "--out", "point", "--resume", *SMALL]) == 2
    assert "weights to act with alone" in capsys.readouterr().err
    assert main(["zoo", "get", "point"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_list_and_show_tell_what_it_is(zoo: Path, capsys) -> None:
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert "point" in listed and headline(read_card(zoo / "point")) in " ".join(listed.split())
    assert main(["zoo", "show", "zoo:point"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "metarl evaluate zoo:point" in shown and "untrained" in shown


def test_one_damaged_card_is_named_and_the_others_are_listed(zoo: Path, capsys) -> None:
    shutil.copytree(zoo / "point", zoo / "damaged")
    (zoo / "damaged" / "card.json").write_text('{"name": 3')
    shutil.copytree(zoo / "point", zoo / "bare")
    card = json.loads((zoo / "bare" / "card.json").read_text())
    (zoo / "bare" / "card.json").write_text(json.dumps(card | {"scores": []}))
    assert main(["zoo", "list"]) == 2
    said = capsys.readouterr()
    assert "point  " in said.out and "skill_open_drawer  " in said.out and "bare  no scores" in said.out
    assert "damaged/card.json is damaged" in said.err and len(said.err.splitlines()) == 1
    assert main(["list"]) == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bandit_rl2", "return: 77.2"),  # its success is that of the last pull alone
        ("navigation_maml", "return: -16.65"),
        ("mt10_sac", "success, any step: 97.6%"),
        ("skill_insert_peg", "success, any step: 96.0%"),
        ("digits_prototypical", "5w1s accuracy: 57.9%"),
    ],
)
def test_the_list_shows_what_an_agent_is_judged_by(name: str, shown: str) -> None:
    assert headline(read_card(entries()[name])).startswith(shown)


def test_the_list_has_whole_names_in_80_columns(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["zoo", "list"]) == 0
    listed = capsys.readouterr().out
    names = [line.split()[0] for line in listed.splitlines() if not line.startswith(" ")]
    assert names[:-1] == list(entries()) and max(map(len, listed.splitlines()[:-1])) <= 80
    _, card = find_entry("skill_open_drawer")
    assert f"skill_open_drawer  {headline(card)}\n    {card.about[:60]}" in listed


def test_an_unknown_name_has_the_nearest(zoo: Path, capsys) -> None:
    for command in ("play", "evaluate", "adapt", "explain", "classify"):
        assert main([command, "zoo:pont"]) == 2
        assert "did you mean 'point'" in capsys.readouterr().err
    assert main(["evaluate", "zoo:../../etc"]) == 2
    assert "the zoo has no" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "versions.json", "checkpoints/iteration_000001.safetensors"])
def test_a_file_that_is_not_as_the_card_says_is_refused(name: str, zoo: Path, capsys) -> None:
    path = zoo / "point" / name
    path.write_bytes(path.read_bytes() + b" ")
    assert main(["evaluate", "zoo:point"]) == 2
    assert "its card says" in capsys.readouterr().err
    path.unlink()
    assert main(["evaluate", "zoo:point"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_file_that_the_card_does_not_name_is_refused(zoo: Path, capsys) -> None:
    (zoo / "point" / "checkpoints" / "more.py").write_text("print('hello')")
    assert main(["play", "zoo:point"]) == 2
    assert "'checkpoints/more.py', which its card does not name" in capsys.readouterr().err


def test_a_link_is_not_followed(zoo: Path, tmp_path: Path, capsys) -> None:
    config = zoo / "point" / "config.json"
    config.rename(tmp_path / "elsewhere.json")
    config.symlink_to(tmp_path / "elsewhere.json")
    assert main(["evaluate", "zoo:point"]) == 2
    assert "is a link" in capsys.readouterr().err


@pytest.mark.parametrize(
    "field", ["../../x", "/etc/passwd", "checkpoints/../config.json", "experiment/own.py", "checkpoints/a.safetensors"]
)
def test_a_card_names_no_other_files(field: str, zoo: Path) -> None:
    content = json.loads((zoo / "point" / "card.json").read_text())
    content["files"][field] = "0" * 64
    (zoo / "point" / "card.json").write_text(json.dumps(content))
    with pytest.raises(metarl.errors.UserError, match="is damaged"):
        find_entry("point")


def test_a_card_is_the_same_when_read_again(zoo: Path) -> None:
    card = read_card(zoo / "point")
    assert msgspec.json.decode(write_card(card), type=Card) == card


def test_nobody_else_has_your_own_file(tmp_path: Path, capsys, run: Path) -> None:
    stored = json.loads((run / "config.json").read_text())
    shutil.copytree(run, tmp_path / "own")
    (tmp_path / "own" / "config.json").write_text(json.dumps(stored | {"experiment": "mine.py"}))
    assert main(["zoo", "add", str(tmp_path / "own"), "--into", str(tmp_path)]) == 2
    assert "nobody else has that file" in capsys.readouterr().err


def test_adding_leaves_nothing_behind_where_it_fails(run: Path, made: Path, tmp_path: Path, capsys) -> None:
    assert main(["zoo", "add", str(run), "--name", "point", "--into", str(made)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["zoo", "add", str(run), "--name", "a/b", "--into", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder, said in ((tmp_path / "file", "file is no directory"), ("/proc/nowhere", "give another --into")):
        if Path(folder).parent.is_dir():
            assert main(["zoo", "add", str(run), "--name", "x", "--into", str(folder)]) == 2
            assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "my agent"], "--name 'my agent' must be letters, digits and any of _ . -, 80 at most"),
        (
            ["--name", "mine", "--about", "two\nlines"],
            "--about 'two\\\\nlines' must be a line of 400 characters at most",
        ),
        (["--name", "../mine"], "--name '../mine' must be letters"),
        (["--name", "mine", "--licence", "x" * 401], "must be a line of 400 characters at most"),
        ([], "zoo:navigation_maml is an agent that comes with metarl; give another --name"),
    ],
)
def test_what_its_card_cannot_say_is_refused_before_it_is_scored(
    words: list[str], said: str, run: Path, zoo: Path, capsys
) -> None:
    assert main(["zoo", "add", str(run), *words]) == 2
    assert said.replace("\\\\", "\\") in capsys.readouterr().err
    assert [path.name for path in zoo.iterdir()] == ["point"]


def test_metarls_own_agents_are_as_their_cards_say_and_small() -> None:
    names = [path.name for path in BUILT_IN.iterdir()]
    assert names and set(names) <= entries().keys()
    for name in names:
        _, card = find_entry(name)
        assert card.name == name and card.scores and card.about
    size = sum(path.stat().st_size for path in BUILT_IN.rglob("*") if path.is_file())
    assert size < 4e6
