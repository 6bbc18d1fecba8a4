"""Every Python block in README and docs that stands for itself runs, and no link between the documents is dead."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.cli.main import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "experiments" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")

SMALL = ["--iterations", "1", "--meta-batch-size", "2", "--workers", "0"]
"""Of a training in a test."""


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)


def run(code: str, folder: Path) -> str:
    # one thread: two that wait for each other on a busy machine take minutes
    environment = os.environ | {"PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_adapts_on_a_robot(tmp_path: Path) -> None:
    (example,) = blocks("README.md")
    assert len(example.strip().splitlines()) <= 16
    shorter = example.replace("range(11)", "range(5)").replace("(4, 9)", "(1, 3)")
    assert shorter != example
    assert len(run(shorter, tmp_path).splitlines()) == 5


@pytest.mark.thorough
def test_the_core_in_ten_lines_learns(tmp_path: Path) -> None:
    (example,) = blocks("docs/architecture.md")
    assert len(example.strip().splitlines()) <= 20
    shorter = example.replace("Navigation()", "Navigation(num_test_tasks=40)")
    assert shorter != example
    last = run(shorter, tmp_path).strip().splitlines()[-1]
    before, after = (float(number) for number in re.findall(r"(-?\d+(?:\.\d+)?) \[", last))
    assert after > before


@pytest.mark.thorough
def test_a_session_and_its_onnx_file_run_as_the_page_says(tmp_path: Path, monkeypatch) -> None:
    session, onnx = blocks("docs/deploy.md")
    run(session, tmp_path)
    assert (tmp_path / "my_robot").is_dir()
    monkeypatch.chdir(tmp_path)
    assert main(["export", "zoo:ml1_reach_maml", "--adapted", "my_robot", "--out", "policy.onnx"]) == 0
    assert run(onnx + "\nprint(np.isfinite(action).all(), action.shape)", tmp_path) == "True (1, 4)\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        if "://" not in target and not target.startswith("#"):
            assert (document.parent / target.partition("#")[0]).exists(), f"{document}: {target}"


def test_the_site_leads_to_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert pages and not [page for page in pages if f": {page}\n" not in nav]


@pytest.mark.thorough
def test_the_tutorial_on_a_robot_of_ones_own(tmp_path: Path, monkeypatch) -> None:
    experiment, robot = blocks("docs/tutorials/your_robot.md")
    (tmp_path / "my_robot.py").write_text(experiment)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    small = [*SMALL, "--query-episodes", "2", "--max-tasks", "1"]
    assert (
        main(["train", "my_robot.py", "--out", "runs/mine", *small, "--hidden-dim", "8", "--test-episodes", "1"]) == 0
    )
    assert len(run(robot, tmp_path).splitlines()) == 3
    command = ["export", "runs/mine", "--experiment", "my_robot.py", "--adapted", "runs/mine/robot", "--out", "p.onnx"]
    assert main(command) == 0


def test_the_tutorial_on_an_agent_of_ones_own(tmp_path: Path, monkeypatch, capsys) -> None:
    (agent,) = blocks("docs/tutorials/write_an_agent.md")
    (tmp_path / "my_agent.py").write_text(agent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert main(["train", "my_agent.py", "--best", "0.1", "--out", "run", "--test-episodes", "2"]) == 0
    assert "meta-trained" in capsys.readouterr().out
    assert main(["train", "my_agent.py", "--best", "0.1", "--out", "run", "--resume", "--iterations", "6"]) == 0


def test_the_agent_of_the_guide_is_an_experiment(tmp_path: Path, monkeypatch, capsys) -> None:
    agent, experiment = blocks("docs/agents.md")[-2:]
    (tmp_path / "maml_by_ppo.py").write_text(f"{agent}\n\n{experiment}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    small = [*SMALL, "--max-tasks", "2", "--test-episodes", "1"]
    assert main(["train", "maml_by_ppo.py", "--clip", "0.1", "--epochs", "2", "--out", "run", *small]) == 0
    assert "meta-trained" in capsys.readouterr().out
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["config"]["agent"]
    assert (stored["clip"], stored["epochs"]) == (0.1, 2)
    assert main(["evaluate", "run", "--experiment", "maml_by_ppo.py"]) == 0


@pytest.mark.thorough
def test_the_tutorial_on_comparing(tmp_path: Path, monkeypatch, capsys) -> None:
    """Its commands in its order, the loop over seeds unrolled, on small runs."""
    text = (ROOT / "docs/tutorials/compare.md").read_text()
    loop, compare, keep = re.findall(r"^\$ (.*)$", text, flags=re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    small = ["--iterations", "1", "--meta-batch-size", "2", "--query-episodes", "2", "--max-tasks", "2"]
    small += ["--workers", "0", "--test-episodes", "1", "--no-report"]
    trains = re.findall(r"metarl (train \S+ --seed )\$seed", loop)
    assert len(trains) == 2
    for command in trains:
        for seed in ("1", "2"):
            assert main([*command.split(), seed, *small]) == 0
    capsys.readouterr()
    assert main(expanded(compare)) == 0
    said = capsys.readouterr().out
    assert said.count("2 seed(s)") == 2 and all(
        word in said for word in ("mean [95 %]", "IQM [95 %]", "P(better than 1)")
    )
    assert (tmp_path / "comparison.png").is_file()
    assert main(expanded(keep)) == 0
    assert (tmp_path / "my_results" / "results" / "navigation_maml.json").is_file()


def expanded(command: str) -> list[str]:
    """The words after `metarl`, with the shell's `*`."""
    words = command.split()[1:]
    return [found for word in words for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


def test_the_tutorial_on_data_of_ones_own(tmp_path: Path, monkeypatch, capsys) -> None:
    (readings,) = blocks("docs/tutorials/own_data.md")
    run(readings, tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["--suites", "3w1s", "--ways", "3", "--iterations", "20", "--num-episodes", "20"]
    assert main(["train", "arrays", "--file", "readings.npz", *options, "--out", "run"]) == 0
    assert "3w1s" in capsys.readouterr().out
