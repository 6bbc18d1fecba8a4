"""The wheel in a folder with envs/, agents/ and experiments/ of somebody's own: what is installed is one package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough
ROOT = Path(__file__).parents[1]
THEIRS = "raise ImportError('this is somebody else\\'s package')\n"
SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2", "--workers", "1"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from what the Containerfile copies, links and all."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    copies = re.findall(r"^COPY (.*) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    names = " ".join(copies).split()
    assert {"metarl", "constraints.txt"} <= set(names)
    leave_out = ["--exclude=__pycache__", "--exclude=experiments/results"]
    packed = subprocess.run(["tar", "-C", str(ROOT), *leave_out, "-c", *names], capture_output=True, check=True)
    subprocess.run(["tar", "-C", str(tree), "-x"], input=packed.stdout, check=True)
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(tree)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def theirs(wheel: Path, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with packages of those names, and the environment in which the wheel is installed."""
    target, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("project")
    options = ["--no-deps", "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(wheel)], check=True)
    for name in ("envs", "agents", "experiments"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(THEIRS)
    return folder, os.environ | {"PYTHONPATH": str(target)}


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"metarl"}
    for file in ("metarl/envs/navigation.py", "metarl/agents/maml.py", "metarl/experiments/navigation.py"):
        assert file in names
    assert "metarl/fewshot/data/index/omniglot.json" in names and "metarl/py.typed" in names


def test_commands_work_beside_other_peoples_code(theirs: tuple[Path, dict[str, str]]) -> None:
    folder, environment = theirs

    def metarl(*words: str) -> str:
        command = [sys.executable, "-m", "metarl", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = subprocess.run(
        [sys.executable, "-c", "import metarl; print(metarl.__file__)"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(place.stdout.strip()).is_relative_to(environment["PYTHONPATH"])
    assert "navigation:VARIANT" in metarl("list")
    assert "ok" in metarl("check-env", "navigation")
    metarl("train", "navigation_maml", "--out", "run", *SMALL)
    assert "meta-trained" in metarl("evaluate", "run", "--workers", "0")
    assert "navigation_maml" in metarl("zoo", "show", "navigation_maml")


@pytest.mark.timeout(1800)
def test_the_wheel_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """All that it needs comes with it: the first commands of a newcomer, outside of the checkout."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(wheel)], check=True)
    (tmp_path / "work").mkdir()

    def metarl(*words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(tmp_path / "venv" / "bin" / "metarl"), *words]
        done = subprocess.run(
            command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "robot skills" in metarl("list")
    assert "metaworld" in metarl("doctor")
    metarl("play", "zoo:ml1_reach_maml", "--episodes", "1", "--rounds", "1", "--every", "50", "--size", "120")
    assert (tmp_path / "work" / "zoo_ml1_reach_maml" / "play.gif").stat().st_size > 10_000
    assert "meta-trained" in metarl("train", "digits_prototypical", "--iterations", "20", "--num-episodes", "20")
