"""What cannot be done with the words of a command line is said before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.cli.main import main

NOWHERE = "nowhere/file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "run", "--json", "."], "--json . is a directory; give the name of a file"),
        (["evaluate", "run", "--json", NOWHERE], "there is no directory nowhere; make it, or give another --json"),
        (["compare", "run", "--plot", NOWHERE], "there is no directory nowhere; make it, or give another --plot"),
        (["adapt", "run", "--out", "a_file"], "--out a_file is a file; give a directory for the adapted policy"),
        (["fewshot", "table", "run"], "metarl fewshot table is of all records, and was given 'run'; leave it out"),
        (["continual", "nearly"], "there is no nearly (did you mean 'nearby'?)"),
        (["export", "nearly", "--out", "x.onnx"], "there is no nearly (did you mean 'nearby'?)"),
        (["play", "a_file"], "a_file is no directory; give one that is"),
        (["export", "a_file", "--out", "x.onnx"], "a_file is no directory, and so no run"),
    ],
)
def test_bad_words_are_one_line_and_nothing_is_done(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    (tmp_path / "a_file").touch()
    (tmp_path / "nearby").mkdir()
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert said in errors and len(errors.strip().splitlines()) == 1
