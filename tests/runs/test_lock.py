"""One live holder at a time, with flock and without."""

import os
import subprocess
import sys

import pytest

from metarl.errors import UserError
from metarl.runs import lock as lock_module
from metarl.runs.lock import Lock

HOLDER = """
import sys, time
from pathlib import Path
import metarl.runs.lock
if sys.argv[2] == "name":
    metarl.runs.lock.fcntl = None
lock = metarl.runs.lock.Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["kernel", "name"])
def way(request, monkeypatch):
    if request.param == "name":
        monkeypatch.setattr(lock_module, "fcntl", None)
    return request.param


def test_second_lock_is_refused_with_the_holder_until_release(tmp_path, way):
    path = tmp_path / "run.lock"
    first = Lock(path)
    with pytest.raises(UserError, match=f"in use by process {os.getpid()}; wait until it ends"):
        Lock(path)
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    Lock(path).release()


def test_lock_of_another_process_holds_until_it_is_killed(tmp_path, way):
    path = tmp_path / "run.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path), way], stdout=subprocess.PIPE, text=True)
    with holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(UserError, match=f"in use by process {holder.pid};"):
                Lock(path)
        finally:
            holder.kill()
    assert path.exists()  # a killed process leaves its file
    Lock(path).release()


def test_a_name_that_cannot_be_made_is_an_os_error(tmp_path, way):
    with pytest.raises(OSError):
        Lock(tmp_path / "missing" / "run.lock")


def test_a_lock_file_replaced_between_open_and_flock_is_not_taken_for_held(tmp_path, monkeypatch):
    """The last holder removes its file while we open it: locking the removed one would let a third one in."""
    path = tmp_path / "run.lock"
    earlier = Lock(path)
    flock = lock_module.fcntl.flock

    def release_first(descriptor, flags):
        earlier.release()
        flock(descriptor, flags)

    monkeypatch.setattr(lock_module.fcntl, "flock", release_first)
    lock = Lock(path)
    monkeypatch.undo()
    with pytest.raises(UserError, match="in use"):
        Lock(path)
    lock.release()
