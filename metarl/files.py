"""Files that may be a stranger's, and writes that survive a crash: the old content or the new one, never a half."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metarl.errors import UserError


def inside(root: Path, *names: str) -> Path:
    """ROOT/NAME/..., none of whose parts below the root is a link, a pipe or a device; it need not be there.

    The one way to a place in a run directory: whoever made it, what is read and written there lies in it. The root is
    the user's own word, and may be a link. Raises UserError.
    """
    path = Path(root)
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise UserError(f"{name!r:.100} is no name of a file in {root}; restore what names it")
        path /= name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        except NotADirectoryError as error:
            raise UserError(f"{path.parent} is no directory; give one that is") from error
        except OSError as error:
            raise UserError(f"{path} cannot be looked at: {error.strerror}; restore or remove it") from error
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            kind = "a link, and none is followed" if stat.S_ISLNK(mode) else "no plain file"
            raise UserError(f"{path} is {kind} in a run directory; remove it, or put the file itself there")
    return path


def open_plain(path: Path | str, flags: int, mode: int = 0o666) -> int:
    """`os.open` of a plain file: no link is followed, no pipe waited for, no device opened. Raises OSError.

    For writing, a file with another name as well (a hard link) is refused, as that may lie anywhere.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise OSError(error.errno, "it is a link, and links are not followed", str(path)) from None
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "it is no plain file", str(path)) from None
        raise
    found = os.fstat(descriptor)
    reason = ""
    if not stat.S_ISREG(found.st_mode):
        reason = "it is no plain file"
    elif flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink > 1:
        reason = "it has another name as well (a hard link)"
    if reason:
        os.close(descriptor)
        raise OSError(errno.EINVAL, reason, str(path))
    return descriptor


def read_plain(path: Path, *, max_bytes: int) -> bytes:
    """Of a plain file of at most `max_bytes`. Raises OSError, before it reads."""
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
        found = os.fstat(file.fileno()).st_size
        if found > max_bytes:
            raise OSError(errno.EFBIG, f"it has {found} bytes, more than the {max_bytes} allowed", str(path))
        return file.read(max_bytes + 1)[:max_bytes]


def reserve(descriptor: int, num_bytes: int) -> None:
    """Give a new file that size, and take its pages now where the system can: later, a full disk or memory ends the
    process by SIGBUS. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, num_bytes)
    else:  # macOS
        os.truncate(descriptor, num_bytes)


def make_directories(path: Path) -> list[Path]:
    """Make the directory and its parents; those made, deepest first. Raises OSError, and leaves none then."""
    made: list[Path] = []
    try:
        missing = [part for part in (path, *path.parents) if not part.exists()]  # a name may be too long to look for
        for part in reversed(missing):
            part.mkdir()
            made.insert(0, part)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(path))
    except OSError:
        remove_empty(made)
        raise
    return made


def remove_empty(directories: Iterable[Path]) -> None:
    """As far as they are empty, deepest first."""
    with suppress(OSError):
        for directory in directories:
            directory.rmdir()


@contextmanager
def new_directory(path: Path) -> Iterator[None]:
    """Make the directory and its parents; where what is to be put there fails, what was made goes again. Raises
    OSError."""
    made = make_directories(path)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it lies on the disk. Raises OSError (a full disk, or what is there already)."""
    with path.open("xb") as file:  # x: never through a link
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory lie on the disk: without it a rename may be lost with the power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at once; if that fails, the old file stays and no other remains.

    A link gives way to the file; what it leads to stays as it is. Raises OSError that names the file.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        remove_stale(path.parent, path.name)
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise
    sync_directory(path.parent)


def remove_stale(directory: Path, name: str | None = None) -> None:
    """Remove what writers that are dead, or an earlier one that had our process id, left half done.

    Of the file of that name; without it, of all files in a directory that nobody else writes in. Raises OSError.
    """
    pattern = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.tmp-(\d+)")
    for path in directory.iterdir():
        match = pattern.fullmatch(path.name)
        if match and ((pid := int(match[1])) == os.getpid() or not process_alive(pid)):
            path.unlink(missing_ok=True)


def process_alive(pid: int) -> bool:
    """Whether a process of that id exists on this machine, whoever owns it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
