"""What was computed before is computed still: to the bit on the processor of the record, else to rounding."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.golden.cases import cases
from tests.golden.record import GOLDEN, differences, processor, run_case

STORED = json.loads(GOLDEN.read_text())
TO_ROUNDING = 1e-4
"""Over three updates, of rollouts that do not part."""


@pytest.fixture(scope="module")
def words_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return cases(tmp_path_factory.mktemp("data"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STORED["cases"])
def test_golden(name: str, words_of: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())  # an experiment file's folder is put on it
    new = run_case(words_of[name], tmp_path / "run")
    tolerance = 0.0 if STORED["processor"] == processor() else TO_ROUNDING
    assert not differences(STORED["cases"][name], new, tolerance=tolerance)


@pytest.mark.slow
def test_every_case_is_recorded(words_of: dict[str, list[str]]) -> None:
    assert STORED["cases"].keys() == words_of.keys()
