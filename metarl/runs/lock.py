"""One process at a time in a directory: a lock file with its holder's process id, void once that is dead."""

from __future__ import annotations

import os
from pathlib import Path

from metarl.errors import UserError
from metarl.files import process_alive

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None


class Lock:
    """Held until `release`. Raises UserError naming the live process that holds it, or OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _lock_by_kernel(path) if fcntl else _lock_by_name(path)

    def release(self) -> None:
        """Safe to call twice; the file goes first, while nobody else can hold it."""
        if self._descriptor is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def _lock_by_kernel(path: Path) -> int:
    """The kernel drops the lock with its holder, however that one died."""
    assert fcntl is not None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # not inherited by spawned workers
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(descriptor, path):
                os.truncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise _held(path) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it between our open and our flock: try the new file


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock_by_name(path: Path) -> int:
    """Without flock: whoever links the name first holds it; a dead holder's name is taken away."""
    own = path.with_name(f".{path.name}.{os.getpid()}")
    own.write_text(str(os.getpid()))
    try:
        for _ in range(2):
            try:
                os.link(own, path)  # the name appears with the process id in it, never empty
                return os.open(path, os.O_RDONLY)
            except FileExistsError:
                if (pid := _read_pid(path)) is None or process_alive(pid):
                    break
                path.unlink(missing_ok=True)
        raise _held(path)
    finally:
        own.unlink(missing_ok=True)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _held(path: Path) -> UserError:
    pid = _read_pid(path) or "unknown"
    return UserError(f"{path.parent} is in use by process {pid}; wait until it ends or choose another --out")
