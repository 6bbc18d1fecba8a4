"""What standard output cannot show, or cannot take, ends no command."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from metarl.cli import main as command_line
from metarl.cli.main import main
from metarl.cli.process.warn import plain_warnings
from metarl.errors import WorkerWarning
from metarl.rollout.pool import PoolConfig, RolloutPool
from tests.rollout.envs import NoisyActor, Scripted, job

ROOT = Path(__file__).parents[2]


def run(shell: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`metarl` in the text stands for the command."""
    shell = shell.replace("metarl ", f"{sys.executable} -m metarl ")
    places = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, env=places | environment)


@pytest.mark.parametrize(
    ("environment", "squared"),
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, b"RL2 on", marks=pytest.mark.thorough),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, "RL² on".encode("latin-1"), marks=pytest.mark.thorough),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, b"RL2 on"),
        pytest.param({"PYTHONIOENCODING": "utf-8"}, "RL² on".encode(), marks=pytest.mark.thorough),
    ],
)
def test_letters_that_the_output_lacks_have_a_likeness(environment: dict[str, str], squared: bytes) -> None:
    done = run("metarl list", **environment)
    assert done.returncode == 0 and done.stderr == b""
    assert squared in done.stdout


@pytest.mark.thorough
def test_a_reader_that_has_read_enough_ends_nothing() -> None:
    done = run("metarl list | head -1 > /dev/null")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.thorough
def test_closed_streams_lend_their_numbers_to_no_file(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = f"metarl train sinusoid_maml --iterations 1 --num-episodes 5 --out {out} >&- 2>&- <&-"
    assert run(command).returncode == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's")
def test_output_that_is_lost_is_said_once_and_in_the_exit_code() -> None:
    done = run("metarl list > /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "error: standard output could not be written (No space left on device), and all later lines are lost\n"
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (28, "error: a/b: No space left on device; free some space on that disk, and call the same command again\n"),
        (24, "error: a/b: Too many open files; raise the limit on open files (ulimit -n 1024), or take fewer"),
    ],
)
def test_what_a_machine_lacks_is_a_sentence_in_any_command(number: int, said: str, monkeypatch, capsys) -> None:
    def fail(arguments):
        raise OSError(number, os.strerror(number), "a/b")

    monkeypatch.setattr(command_line, "_dispatch", fail)
    assert main(["list"]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_what_an_env_raises_in_this_process_is_a_sentence_and_its_own_traceback(monkeypatch, capsys) -> None:
    def fail(arguments):
        with RolloutPool(Scripted(), PoolConfig(workers=0)) as pool:
            pool.collect([job({"fault": {"kind": "raise", "at": 2, "marker": None}})], NoisyActor())

    monkeypatch.setattr(command_line, "_dispatch", fail)
    assert main(["list"]) == 1
    first, *more = capsys.readouterr().err.splitlines()
    assert first.startswith("error: env 'scripted' raised ZeroDivisionError: scripted trouble (envs.py, line ")
    assert first.endswith("step 2; fix the env") and more[0] == "Traceback (most recent call last):"
    assert more[-1] == "ZeroDivisionError: scripted trouble" and not any("lockstep.py" in line for line in more)


def test_another_fault_keeps_its_traceback(monkeypatch) -> None:
    def fail(arguments):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(command_line, "_dispatch", fail)
    with pytest.raises(OSError, match="Invalid argument"):
        main(["list"])


def test_a_warning_for_people_is_one_line_without_our_code() -> None:
    with plain_warnings():
        lines = [
            warnings.formatwarning("lost\x1b", kind, "a.py", 3, "a = b") for kind in (WorkerWarning, RuntimeWarning)
        ]
    assert lines == ["warning: lost\\x1b\n", "a.py:3: RuntimeWarning: lost\x1b\n  a = b\n"]
    assert warnings.formatwarning("lost", UserWarning, "a.py", 3, "").startswith("a.py:3")
