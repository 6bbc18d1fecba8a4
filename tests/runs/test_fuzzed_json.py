"""No JSON of a run, a record, or what `classify --save` keeps ends a command in a traceback, however it is damaged."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from metarl.cli.main import main
from tests.runs.fuzz import damaged, damaged_checkpoint

pytestmark = pytest.mark.thorough
TINY = ["--iterations", "1", "--num-episodes", "10", "--suites", "5w1s"]
NAVIGATION = [
    *("train", "navigation_maml", "--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2"),
    *("--query-episodes", "2", "--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2"),
    *("--workers", "0", "--deterministic-too", "False"),
]
CHECKPOINT = "checkpoints/iteration_000001.safetensors"
CASES: dict[str, tuple[str, list[str], list[list[str]]]] = {
    "compare": ("run", ["config.json", "evaluation.json", "metrics.jsonl"], [["compare", "@", "#/other"]]),
    "results": (
        "run",
        ["config.json", "evaluation.json", "metrics.jsonl", "versions.json"],
        [["results", "@", "--into", "@/into"]],
    ),
    "few-shot results": (
        "digits",
        ["config.json", "evaluation.json"],
        [["results", "@", "--into", "@/into"], ["fewshot", "table", "--into", "@/into"]],
    ),
    "record": (
        "records",
        ["results/navigation_maml.json", "results/digits_prototypical.json"],
        [["results", "--into", "@", "--show", "navigation_maml"], ["fewshot", "table", "--into", "@"]],
    ),
    "explain": ("digits", ["config.json", CHECKPOINT], [["explain", "@", "--queries", "1"]]),
    "adapt": (
        "run",
        ["config.json", CHECKPOINT],
        [["adapt", "@", "--rounds", "1", "--episodes", "1", "--test-episodes", "1"]],
    ),
    "resume": (
        "run",
        ["config.json", CHECKPOINT, "versions.json", "metrics.jsonl"],
        [[*NAVIGATION, "--out", "@", "--resume"]],
    ),
    "classify": ("saved", ["iteration_000000.safetensors"], [["classify", "@", "--queries", "#/queries.npz"]]),
}
"""What is copied, which of its files is damaged, and who reads it: @ is the copy, # where it came from."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    for name, seed in (("run", "0"), ("other", "1")):
        assert main([*NAVIGATION, "--seed", seed, "--out", str(root / name)]) == 0
    assert main(["train", "digits_prototypical", *TINY, "--out", str(root / "digits")]) == 0
    for run in ("run", "digits"):
        assert main(["results", str(root / run), "--into", str(root / "records")]) == 0
    rng = np.random.default_rng(0)
    np.savez(root / "examples.npz", X=rng.random((4, 1, 12, 12)), y=np.array(["a", "a", "b", "b"]))
    np.savez(root / "queries.npz", X=rng.random((1, 1, 12, 12)))
    saved = ["--examples", str(root / "examples.npz"), "--save", str(root / "saved")]
    assert main(["classify", str(root / "digits"), *saved]) == 0
    return root


@pytest.mark.parametrize("name", CASES)
def test_damaged_json_ends_in_a_sentence(name: str, whole: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    for plot in ("cli.train.plot_training", "scores.report.plot_adaptation", "cli.compare.plot_comparison"):
        monkeypatch.setattr(f"metarl.{plot}", lambda *_, **__: None)  # pictures are slow
    source, files, commands = CASES[name]
    refused = 0
    for number in range(5 * len(files)):
        rng = np.random.default_rng((len(name), number))
        copy = tmp_path / str(number)
        shutil.copytree(whole / source, copy)
        file = copy / files[number % len(files)]
        damage = damaged_checkpoint if file.suffix == ".safetensors" else damaged
        file.write_bytes(damage(file.read_bytes(), rng))
        for command in commands:
            words = [word.replace("@", str(copy)).replace("#", str(whole)) for word in command]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a checkpoint that is left out is warned of
                code = main(words)
            said = capsys.readouterr().err
            assert code in (0, 2), f"{name} {number} ({file.name}): {said}"
            refused += code
    assert refused  # the damage is real
