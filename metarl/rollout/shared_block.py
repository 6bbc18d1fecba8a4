"""One block of bytes that parent and worker both hold: a group's episodes come back through it.

On Linux it has no name and goes over the pipe as a file descriptor: whatever kills the processes, nothing stays behind.
Elsewhere it is multiprocessing's SharedMemory, whose name is unlinked once both hold it.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Protocol

from metarl.errors import UserError
from metarl.files import reserve

HAS_ANONYMOUS = hasattr(os, "memfd_create")
"""Linux, where Python was built against a C library that has it (glibc 2.27)."""


class SharedBlock(Protocol):
    """Memory that two processes have."""

    @property
    def size(self) -> int:
        """Bytes; at least as many as were asked for."""
        ...

    @property
    def name(self) -> str | None:
        """What the other process opens it by; None: it is sent as a file descriptor."""
        ...

    @property
    def bytes(self) -> memoryview: ...

    def send(self, connection: Connection, pid: int) -> None:
        """What `receive_block` at the other end waits for."""
        ...

    def is_held_by_both(self) -> None:
        """Take its name away, if it has one."""
        ...

    def close(self) -> None: ...


def new_block(size: int) -> SharedBlock:
    """`size` bytes, whose pages are taken now. Raises UserError where there is no room for them."""
    return _AnonymousBlock.new(size) if HAS_ANONYMOUS else _NamedBlock.new(size)


def receive_block(connection: Connection, name: str | None, size: int) -> SharedBlock:
    """The block that `send` has sent from the other end."""
    if name is not None:
        return _NamedBlock(SharedMemory(name=name))
    return _AnonymousBlock(recv_handle(connection), size)


class _AnonymousBlock:
    """memfd_create(2)."""

    name = None

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor: int | None = descriptor
        self._map = mmap.mmap(descriptor, size)

    @classmethod
    def new(cls, size: int) -> _AnonymousBlock:
        descriptor = os.memfd_create("metarl")
        try:
            _reserve(descriptor, size)
        except UserError:
            os.close(descriptor)
            raise
        return cls(descriptor, size)

    @property
    def bytes(self) -> memoryview:
        return memoryview(self._map)

    def send(self, connection: Connection, pid: int) -> None:
        assert self._descriptor is not None, "a block is sent once"
        send_handle(connection, self._descriptor, pid)
        self._close_descriptor()

    def is_held_by_both(self) -> None:
        """It has no name."""

    def close(self) -> None:
        self._close_descriptor()
        self._map.close()

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # the map has one of its own
            self._descriptor = None


class _NamedBlock:
    """multiprocessing's SharedMemory."""

    def __init__(self, memory: SharedMemory, *, unlink: Callable[[], None] = lambda: None) -> None:
        self._memory, self._unlink = memory, unlink
        self.size, self.name = memory.size, memory.name

    @classmethod
    def new(cls, size: int) -> _NamedBlock:
        # a too small /dev/shm (64 MB in Docker) is found out by SIGBUS at the first write: ask before
        shm = Path("/dev/shm")
        if shm.is_dir() and (free := shutil.disk_usage(shm).free) < size:
            raise UserError(
                f"shared memory has {free >> 20} MiB free in /dev/shm and a rollout group needs {(size >> 20) + 1} "
                "MiB; give the container more (docker run --shm-size=1g), lower lanes_per_group or horizon_steps, or "
                "use --workers 0"
            )
        block = cls(memory := SharedMemory(create=True, size=size), unlink=memory.unlink)
        file = shm / memory.name.lstrip("/")
        if file.is_file():
            try:
                with file.open("r+b") as opened:
                    _reserve(opened.fileno(), size)
            except UserError:
                block.close()
                raise
        return block

    @property
    def bytes(self) -> memoryview:
        assert self._memory.buf is not None, "it is not closed yet"
        return self._memory.buf

    def send(self, connection: Connection, pid: int) -> None:
        """Its name is enough."""

    def is_held_by_both(self) -> None:
        self._unlink()
        self._unlink = lambda: None

    def close(self) -> None:
        self.is_held_by_both()
        self._memory.close()


def _reserve(descriptor: int, size: int) -> None:
    """Take the pages now: what is free counts neither what other workers were promised nor what they write later."""
    try:
        reserve(descriptor, size)
    except OSError as error:
        raise UserError(
            f"shared memory has no room left for another {(size >> 20) + 1} MiB ({error.strerror}); give the container "
            "more memory (docker run --memory, --shm-size=1g), lower lanes_per_group or horizon_steps, or "
            "use --workers 0"
        ) from error
