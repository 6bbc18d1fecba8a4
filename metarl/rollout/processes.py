"""New worker processes. On Linux they are forked from a server that has imported torch and metarl once.

A worker then starts in a sixth of the time and has a third of the memory to itself. The server runs nothing but imports
and has no threads, so that a fork of it is safe, as one of this process would not be under torch's threads. Elsewhere
each worker is an interpreter of its own (spawn).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.forkserver import get_inherited_fds
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from metarl.errors import UserError
from metarl.runs.die_with_parent import die_with_parent

_SERVER = "metarl.rollout.fork_server"


def _context() -> BaseContext:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_SERVER])
    return context


class _Start:
    """How this process starts others."""

    context = _context()

    @classmethod
    def spawn(cls) -> None:
        cls.context = multiprocessing.get_context("spawn")


# a fork of this process has neither the thread that starts others nor the server as its child
os.register_at_fork(after_in_child=_Start.spawn)


def new_process(target: Callable[..., None], *args: Any) -> tuple[BaseProcess, Connection]:
    """A started daemon that runs `target(connection, *args)`, and the other end of its connection.

    Raises UserError in a daemon, which may start no process.
    """
    if multiprocessing.current_process().daemon:
        raise UserError("a process that is a daemon can start no workers; take workers=0, or daemon=False for it")
    if _Start.context.get_start_method() == "forkserver":
        try:
            return _started(_Start.context, _starter.start, target, args)
        except OSError:  # no room or too long a name for its socket, or others have waited for all our children
            _Start.spawn()
    return _started(_Start.context, _start, target, args)


def _started(
    context: Any, start: Callable[[BaseProcess], None], target: Callable[..., None], args: Sequence[Any]
) -> tuple[BaseProcess, Connection]:
    ours, theirs = context.Pipe()
    try:
        process = context.Process(target=_run, args=(_Environment(), target, theirs, *args), daemon=True)
        start(process)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def end_with_parent() -> None:
    """Of a worker: on Linux it is killed when the process that started it is gone, whatever ended that."""
    parent, server = multiprocessing.parent_process(), sys.modules.get(_SERVER)
    if server is not None:
        die_with_parent(server.PID)
    elif parent is not None and get_inherited_fds() is None:  # else a server that others started, which stays
        die_with_parent(parent.pid or 0)


def _start(process: BaseProcess) -> None:
    """A program that came through stdin is no file that a worker could import as its `__main__`."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    is_no_file = file is not None and main.__spec__ is None and not os.path.exists(file)
    if is_no_file:
        del main.__file__
    try:
        process.start()
    finally:
        if is_no_file:
            main.__file__ = file


class _Environment:
    """The variables of the process that starts a worker: the server has those of its own start.

    It stands before what is unpickled with it, whose imports may read them.
    """

    def __reduce__(self) -> tuple[Callable[[Mapping[str, str]], None], tuple[dict[str, str]]]:
        return _take, (dict(os.environ),)


def _take(variables: Mapping[str, str]) -> None:
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)


def _run(_: None, target: Callable[..., None], *args: Any) -> None:
    target(*args)


class _Starter:
    """Starts processes in a thread that lives as long as this process: the server ends with the thread that started it
    (PR_SET_PDEATHSIG, prctl(2)), and all workers with the server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: SimpleQueue[tuple[BaseProcess, Future[None]]] | None = None

    def start(self, process: BaseProcess) -> None:
        with self._lock:
            if self._given is None:
                self._given = SimpleQueue()
                threading.Thread(target=self._serve, args=(self._given,), daemon=True, name="starts workers").start()
        started: Future[None] = Future()
        self._given.put((process, started))
        started.result()

    @staticmethod
    def _serve(given: SimpleQueue[tuple[BaseProcess, Future[None]]]) -> None:
        while True:
            process, started = given.get()
            try:
                started.set_result(_start(process))
            except BaseException as error:
                started.set_exception(error)


_starter = _Starter()
