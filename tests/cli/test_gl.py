"""What MUJOCO_GL may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.cli.main import main


def test_a_gl_that_mujoco_does_not_know_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MUJOCO_GL", "elg")
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: MUJOCO_GL='elg' (did you mean 'egl'?) is no GL that MuJoCo knows; set it to egl")
    assert len(said.splitlines()) == 1
