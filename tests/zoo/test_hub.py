"""Pushing to a hub and pulling from it: the same bytes, pinned ones, and nothing that a card does not name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.zoo.entries import find_entry
from metarl.zoo.hub import local_name, pull, push
from tests.zoo.hub_stand_in import Hub

NAME = "somebody/reaches"


@pytest.fixture
def hub(monkeypatch, tmp_path: Path):
    stand_in = Hub()
    monkeypatch.setenv("HF_ENDPOINT", stand_in.address)
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    monkeypatch.setenv("METARL_ZOO", str(tmp_path / "zoo"))
    yield stand_in
    stand_in.close()


@pytest.fixture
def pushed(hub: Hub) -> Hub:
    push(*find_entry("ml1_reach_maml"), NAME)
    return hub


def test_what_is_pulled_is_what_was_pushed_and_acts(pushed: Hub, tmp_path: Path, capsys) -> None:
    (files,) = pushed.repositories[NAME]
    folder, card = find_entry("ml1_reach_maml")
    assert set(files) == {"card.json", "README.md", *card.files}
    assert main(["zoo", "pull", NAME]) == 0
    told = " ".join(capsys.readouterr().out.split())
    digest = hashlib.sha256(files["card.json"]).hexdigest()
    assert f"--revision {pushed.sha(NAME, 1)} --digest {digest}" in told
    found, again = find_entry(NAME)
    assert again == card and found == tmp_path / "zoo" / "somebody--reaches"
    for name in card.files:
        assert (found / name).read_bytes() == (folder / name).read_bytes()
    assert not any("README" in path for path in pushed.asked if "resolve" in path)
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["somebody--reaches"]  # no scratch is left
    assert main(["zoo", "pull", NAME]) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_page_for_people_names_the_scores(pushed: Hub) -> None:
    page = pushed.repositories[NAME][0]["README.md"].decode()
    assert page.startswith("---\nlicense: mit\n") and f"metarl zoo pull {NAME}" in page
    assert "| meta-trained | (50) | deterministic | success last | 2 |" in page


def test_an_older_revision_can_be_pinned_and_so_can_the_content(pushed: Hub, tmp_path: Path) -> None:
    first = pushed.repositories[NAME][0]
    pushed.repositories[NAME].append({**first, "card.json": first["card.json"].replace(b"MIT", b"BSD")})
    digest = hashlib.sha256(first["card.json"]).hexdigest()
    assert pull(NAME, tmp_path / "new").card.licence == "BSD"
    with pytest.raises(UserError, match="and you gave"):
        pull(NAME, tmp_path / "old", digest=digest)
    found = pull(NAME, tmp_path / "old", revision=pushed.sha(NAME, 1), digest=digest)
    assert (found.card.licence, found.digest) == ("MIT", digest)


@pytest.mark.parametrize("name", ["evil.py", "model.pkl", "checkpoints/other.safetensors"])
def test_what_the_card_does_not_name_is_refused(name: str, pushed: Hub, tmp_path: Path) -> None:
    pushed.repositories[NAME][0][name] = b"import os"
    with pytest.raises(UserError, match=f"holds '{name}', which its card does not name"):
        pull(NAME, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()
    assert not any(name in path for path in pushed.asked)


def test_a_file_that_was_changed_is_refused(pushed: Hub, tmp_path: Path) -> None:
    files = pushed.repositories[NAME][0]
    files["config.json"] = files["config.json"] + b"\n"
    with pytest.raises(UserError, match="its card says"):
        pull(NAME, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_a_card_that_points_elsewhere_is_refused(pushed: Hub, tmp_path: Path) -> None:
    files = pushed.repositories[NAME][0]
    card = json.loads(files["card.json"])
    card["files"]["../../outside"] = "0" * 64
    files["card.json"] = json.dumps(card).encode()
    with pytest.raises(UserError, match="is damaged"):
        pull(NAME, tmp_path / "zoo")


def test_what_is_too_large_is_not_downloaded(pushed: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("metarl.zoo.hub.MAX_FILE_BYTES", 1000)
    with pytest.raises(UserError, match="more than 1000"):
        pull(NAME, tmp_path / "zoo")


def test_what_is_not_there_or_not_reached_is_said(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match="cannot be reached on the hub"):
        pull("nobody/nothing", tmp_path)
    hub.repositories["nobody/else"] = [{"README.md": b"hello"}]
    with pytest.raises(UserError, match=r"holds no card\.json"):
        pull("nobody/else", tmp_path)
    for name in ("reaches", "a/b/c", "../x", "a/", "-/x"):
        with pytest.raises(UserError, match="write USER/NAME"):
            local_name(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="look at its name, the network"):
        pull(NAME, tmp_path)
