"""The demo runs and leaves its pictures; `metarl list` names the methods and data sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.experiments import _few_shot_demo
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.registry import DATASETS, METHODS


@pytest.mark.thorough
def test_the_demo_prints_a_table_and_leaves_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = FewShotEvaluationConfig(suites=("5w1s", "5w5s"), num_episodes=2)
    monkeypatch.setattr(_few_shot_demo, "EVALUATION", few)
    monkeypatch.setattr(sys, "argv", ["demo", "--iterations", "1", "--out", str(tmp_path)])
    _few_shot_demo.main()
    assert {path.name for path in tmp_path.iterdir()} == {"answers.png", "attention.png", "nearest.png", "layers.png"}
    printed = capsys.readouterr().out
    assert printed.startswith("5 methods learn to tell digits apart")
    assert all(name in printed for name in _few_shot_demo.CONFIGS)


def test_methods_and_data_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*METHODS, *DATASETS))


def test_the_inner_loop_bench_gives_each_backends_time(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "inner_loop", "--repeats", "1", "--json", str(out)]) == 0
    times = json.loads(out.read_text())["median_cpu_ms"]
    assert {"metarl, batched", "metarl, vmap", "metarl, loop"} <= times.keys() and min(times.values()) > 0
