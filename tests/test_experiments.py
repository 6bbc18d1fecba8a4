"""Every experiment that can be run by name trains and evaluates, in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.cli import main
from metarl.find_experiment import experiment_names
from metarl.log import read_metrics

SMALL = [
    *("--iterations", "2", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2", "--workers", "0"),
]


@pytest.mark.parametrize("name", experiment_names())
def test_experiment_runs(name: str, tmp_path: Path) -> None:
    assert main(["train", name, "--out", str(tmp_path / "run"), *SMALL]) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 2 and all(row["meta_step_accepted"] in (0.0, 1.0) for row in rows)
    assert (tmp_path / "run" / "adaptation.png").stat().st_size > 10_000
