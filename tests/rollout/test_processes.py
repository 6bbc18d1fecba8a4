"""How worker processes are started, and what they have of the process that starts them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from metarl.errors import UserError
from metarl.rollout.processes import new_process

ROOT = Path(__file__).parents[2]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked from a server on Linux alone")


def tell(connection, name: str) -> None:
    connection.send((os.environ.get(name), os.getppid()))
    connection.recv()


def told(name: str) -> tuple[str | None, int]:
    """What a new process says of a variable, and which process is its parent."""
    process, connection = new_process(tell, name)
    try:
        return connection.recv()
    finally:
        process.kill()
        process.join()
        connection.close()


def test_it_has_the_variables_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not those of when the server was started."""
    assert told("METARL_OF_NOW")[0] is None
    monkeypatch.setenv("METARL_OF_NOW", "1")
    assert told("METARL_OF_NOW")[0] == "1"
    monkeypatch.delenv("METARL_OF_NOW")
    assert told("METARL_OF_NOW")[0] is None


@linux_only
def test_the_server_is_started_again_if_it_was_killed() -> None:
    _, server = told("HOME")
    assert told("HOME")[1] == server != os.getpid()
    os.kill(server, signal.SIGKILL)
    while psutil.Process(server).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    _, another = told("HOME")
    assert another not in (server, os.getpid())


@linux_only
def test_without_a_server_it_is_an_interpreter_of_its_own(tmp_path: Path) -> None:
    """Its socket is among the temporary files, and a name of more than 107 bytes is none for a socket."""
    far = tmp_path / ("x" * 100)
    far.mkdir()
    code = "from tests.rollout.test_processes import told\nif __name__ == '__main__': print(told('HOME')[1])"
    (tmp_path / "script.py").write_text(code)
    environment = os.environ | {"TMPDIR": str(far), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, tmp_path / "script.py"], env=environment, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


def test_a_program_from_stdin_has_workers_too() -> None:
    code = "import os, tests.rollout.test_processes as t; print(t.told('PYTHONPATH')[0] == os.environ['PYTHONPATH'])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable], input=code, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n" and done.stderr == ""


def test_a_daemon_is_told_that_it_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(UserError, match="a daemon can start no workers; take workers=0"):
        told("HOME")


@linux_only
def test_a_fork_of_this_process_starts_processes_of_its_own() -> None:
    """It has neither the server as its child nor the thread that talks to it."""
    told("HOME")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            os.write(write, str(told("HOME")[1] == os.getpid()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "True"
    os.waitpid(child, 0)
