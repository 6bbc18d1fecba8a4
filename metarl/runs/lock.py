"""One process at a time in a directory: a lock file with its holder's process id, void once that is dead."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from metarl.errors import UserError
from metarl.files import open_plain, read_plain


class Lock:
    """Held until `release`. Raises UserError naming the live process that holds it, or OSError; follows no link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lock = _acquired(path)
        except Timeout:
            raise _held(path) from None

    def release(self) -> None:
        """Safe to call twice; the file goes first, while nobody else can hold it."""
        if not self._lock.is_locked:
            return
        self.path.unlink(missing_ok=True)
        self._lock.release()


def _acquired(path: Path) -> BaseFileLock:
    """By the kernel, which drops the lock with its holder; by name on a file system without flock."""
    path.parent.stat()  # filelock would make it
    lock = FileLock(path, blocking=False, thread_local=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flock not supported")
        lock.acquire()
    try:
        if not isinstance(lock, SoftFileLock):  # that one has its holder's id in it already
            with os.fdopen(open_plain(path, os.O_WRONLY), "wb") as file:
                file.truncate()
                file.write(str(os.getpid()).encode())
    except BaseException:
        lock.release()
        raise
    return lock


def _held(path: Path) -> UserError:
    try:
        pid = read_plain(path, max_bytes=1000).split(b"\n")[0].decode()
    except (OSError, ValueError):
        pid = "unknown"
    return UserError(
        f"{path.parent} is in use by process {pid:.20}; wait until it ends or choose another --out, and if it runs "
        f"neither here nor on another machine, remove {path.name}"
    )
