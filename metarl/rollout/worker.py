"""One worker process and the parent's handle on it.

They talk over a pipe, a message for a group, never for a step; episodes come back through shared memory.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import torch

from metarl.errors import UserError
from metarl.learner import Actor
from metarl.rollout.buffer import arrays_in, episodes_by_job, num_bytes
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lockstep import GroupRunner, GroupTimes, NonFinite
from metarl.tasks import TaskDistribution
from metarl.types import Episodes

# spawn: safe with threads and the same on every platform; fork under torch's threads can deadlock
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Attached:
    """The worker holds the shared memory: the parent can unlink its name."""


@dataclass(frozen=True)
class Finished:
    times: GroupTimes


@dataclass(frozen=True)
class Failed:
    traceback: str
    for_people: UserError | None = None
    """Says itself what to mend. The same seeds would give it again, so it is not tried again."""


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


class _Pickler(pickle.Pickler):
    """Tensors go as their bytes: torch's own reducers would open a shared-memory file for each of them."""

    def reducer_override(self, obj: object) -> object:
        if isinstance(obj, torch.Tensor):
            return _tensor, (obj.detach().cpu().contiguous().numpy(),)
        return NotImplemented


def _send(connection: Connection, message: object) -> None:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(message)
    connection.send_bytes(buffer.getbuffer())


def _receive(connection: Connection) -> object:
    return pickle.loads(connection.recv_bytes())  # from our own child or parent, never from a file


def _exit_with_parent() -> None:
    """Wait for the parent's death, then end this process at once, in the middle of a group if need be."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def worker_main(connection: Connection, tasks: TaskDistribution, non_finite: NonFinite) -> None:
    # Ctrl-C goes to the whole process group; the parent alone decides what becomes of its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    runner = GroupRunner(tasks, non_finite=non_finite)
    memory: SharedMemory | None = None
    while True:
        try:
            kind, *content = _receive(connection)  # type: ignore[misc]
        except (EOFError, ConnectionError):
            os._exit(0)
        try:
            if kind == "attach":
                memory = SharedMemory(name=content[0])
                answer: object = Attached()
            else:
                jobs, actor = content
                assert memory is not None and memory.buf is not None, "attach comes before run"
                arrays = arrays_in(memory.buf, tasks.spec, sum(job.num_episodes for job in jobs))
                answer = Finished(runner.run(jobs, actor, arrays))
        except UserError as error:  # a NonFiniteError is one
            # its cause stays here: it may hold what cannot be pickled
            answer = Failed(traceback.format_exc(), for_people=type(error)(str(error)))
        except Exception:
            answer = Failed(traceback.format_exc())
        try:
            _send(connection, answer)
        except (BrokenPipeError, ConnectionError):
            os._exit(0)


class Worker:
    """The parent's handle: start, hand over a group, read the answer, kill."""

    def __init__(self, tasks: TaskDistribution, *, non_finite: NonFinite) -> None:
        self._tasks = tasks
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=worker_main, args=(theirs, tasks, non_finite), daemon=True)
        self._process.start()
        theirs.close()
        self._memory: SharedMemory | None = None
        self._linked = False
        self.has_answered = False
        """False until the first message: a death before it points to the start-up, not to an episode."""

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """Readable once the process has ended."""
        return self._process.sentinel

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, jobs: Sequence[RolloutJob], actor: Actor) -> None:
        """Hand over a group. Raises ConnectionError where the worker is gone."""
        needed = num_bytes(self._tasks.spec, sum(job.num_episodes for job in jobs))
        if self._memory is None or self._memory.size < needed:
            self._release_memory()
            self._memory = _new_shared_memory(needed)
            self._linked = True
            _send(self.connection, ("attach", self._memory.name))
        _send(self.connection, ("run", list(jobs), actor))

    def receive(self) -> Finished | Failed | None:
        """The next answer, or None for an acknowledgement. Raises EOFError or ConnectionError if it died."""
        message = _receive(self.connection)
        self.has_answered = True
        if isinstance(message, Attached):
            self._unlink()
            return None
        assert isinstance(message, Finished | Failed)
        return message

    def episodes(self, jobs: Sequence[RolloutJob]) -> list[Episodes]:
        """A copy of the finished group's episodes, job by job."""
        assert self._memory is not None and self._memory.buf is not None
        per_job = jobs[0].num_episodes
        arrays = arrays_in(self._memory.buf, self._tasks.spec, per_job * len(jobs))
        return episodes_by_job(arrays, len(jobs), per_job=per_job)

    def stop(self) -> None:
        """End the process now."""
        self._process.kill()

    def kill(self) -> None:
        """End the process now and free what it held; safe to call twice."""
        self.stop()
        self._process.join()
        self.connection.close()
        self._release_memory()

    def _release_memory(self) -> None:
        if self._memory is not None:
            self._unlink()
            self._memory.close()
            self._memory = None

    def _unlink(self) -> None:
        """Once both sides hold the memory its name is needless: without one, nothing can be left behind."""
        if self._memory is not None and self._linked:
            self._memory.unlink()
            self._linked = False


def _new_shared_memory(size: int) -> SharedMemory:
    # a too small /dev/shm (64 MB in Docker) is found out by SIGBUS at the first write: ask before
    shm = Path("/dev/shm")
    if shm.is_dir() and (free := shutil.disk_usage(shm).free) < size:
        raise UserError(
            f"shared memory has {free >> 20} MiB free in /dev/shm and a rollout group needs {(size >> 20) + 1} MiB; "
            "give the container more (docker run --shm-size=1g), lower lanes_per_group, or use --workers 0"
        )
    memory = SharedMemory(create=True, size=size)
    try:
        _reserve(shm / memory.name.lstrip("/"), size)
    except OSError as error:
        memory.close()
        memory.unlink()
        raise UserError(
            f"shared memory in /dev/shm has no room left for another {(size >> 20) + 1} MiB ({error.strerror}); give "
            "the container more (docker run --shm-size=1g), lower lanes_per_group, or use --workers 0"
        ) from error
    return memory


def _reserve(file: Path, size: int) -> None:
    """Take the pages now: what is free counts neither what other workers were promised nor what they write later."""
    if hasattr(os, "posix_fallocate") and file.is_file():
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, size)
