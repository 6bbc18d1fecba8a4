"""Training on the fast path is training on metaworld: the same seed gives the same first iteration."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.cli import main
from metarl.log import read_metrics

SMALL = ["--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "3", "--query-episodes", "3"]
SMALL += ["--max-tasks", "1", "--test-episodes", "1", "--adaptation-episodes", "1", "--workers", "2"]


@pytest.mark.slow
def test_the_learning_curve_is_metaworlds(tmp_path: Path) -> None:
    """Before the first inner step; after it the two part by about 1e-3, which is not tested.

    The linear baseline stands between: an object at rest gives constant features, its fit is nearly singular, and
    turns differences of 1e-8 in float32 observations into 1e-5 in the advantages (docs/LOG.md, 2026-11-24).
    """
    rows = {}
    for stepping in ("fast", "metaworld"):
        out = tmp_path / stepping
        assert main(["train", "ml1_reach_maml", "--stepping", stepping, "--out", str(out), *SMALL]) == 0
        (rows[stepping],) = read_metrics(out / "metrics.jsonl")
    for name in ("return/pre", "success/pre"):
        assert rows["fast"][name] == pytest.approx(rows["metaworld"][name], rel=1e-6, abs=1e-9), name
