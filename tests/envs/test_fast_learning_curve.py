"""Training on the fast path is training on metaworld: the same seed gives the same learning curve."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.runs.log import read_metrics

SMALL = ["--iterations", "2", "--meta-batch-size", "2", "--support-episodes", "3", "--query-episodes", "3"]
SMALL += ["--max-tasks", "1", "--test-episodes", "1", "--adaptation-episodes", "1", "--workers", "2"]


@pytest.mark.slow
def test_the_learning_curve_is_metaworlds(tmp_path: Path) -> None:
    """Every metric of two iterations, inner steps and meta-updates included."""
    curves = {}
    for stepping in ("fast", "metaworld"):
        out = tmp_path / stepping
        assert main(["train", "ml1_reach_maml", "--stepping", stepping, "--out", str(out), *SMALL]) == 0
        curves[stepping] = read_metrics(out / "metrics.jsonl")
    assert len(curves["fast"]) == 2
    for fast, slow in zip(curves["fast"], curves["metaworld"], strict=True):
        learned = {name for name in fast if "seconds" not in name}
        assert {"return/post", "kl"} <= learned
        for name in learned:
            assert fast[name] == pytest.approx(slow[name], rel=1e-6, abs=1e-9), name
