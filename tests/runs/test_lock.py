"""One live holder at a time, with flock and without, and no link followed."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from metarl.errors import UserError
from metarl.runs.lock import Lock

WITHOUT_FLOCK = """
import errno, fcntl
def flock(descriptor, flags):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = flock
"""
HOLDER = """
import sys, time
from pathlib import Path
from metarl.runs.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["kernel", "name"])
def way(request, monkeypatch):
    if request.param == "name":

        def missing(descriptor, flags):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", missing)
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
    code = (WITHOUT_FLOCK if way == "name" else "") + HOLDER
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
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
    flock = fcntl.flock

    def release_first(descriptor, flags):
        monkeypatch.undo()
        earlier.release()
        flock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", release_first)
    with pytest.raises(UserError, match="in use"):  # it says so, and the next try has it
        Lock(path)
    lock = Lock(path)
    with pytest.raises(UserError, match="in use"):
        Lock(path)
    lock.release()


def test_a_lock_by_name_tells_its_remedy(tmp_path, way):
    """A file system shared by machines: whether a process lives on another one cannot be seen from here."""
    path = tmp_path / "run.lock"
    with_lock = Lock(path)
    with pytest.raises(UserError, match=r"if it runs neither here nor on another machine, remove run\.lock$"):
        Lock(path)
    with_lock.release()


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
def test_what_a_link_leads_to_is_left_alone(tmp_path, kind):
    (tmp_path / "precious").write_text("mine")
    getattr(tmp_path / "run.lock", kind)(tmp_path / "precious")
    with pytest.raises(OSError):
        Lock(tmp_path / "run.lock")
    assert (tmp_path / "precious").read_text() == "mine"
