"""One worker process and the parent's handle on it.

They talk over a pipe, a few messages for a group, never one for a step; episodes come back through a `SharedBlock`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import NoReturn

import torch

from metarl.errors import EnvFault, UserError
from metarl.learner import Actor
from metarl.rollout.buffer import Arrays, Outgrown, arrays_in, episodes_by_job, longer, num_bytes
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lockstep import GroupRunner, GroupTimes, NonFinite
from metarl.rollout.message import UNSENDABLE, cannot_be_sent, from_bytes, to_bytes
from metarl.rollout.processes import end_with_parent, new_process
from metarl.rollout.shared_block import SharedBlock, new_block, receive_block
from metarl.tasks import TaskDistribution
from metarl.types import Episodes

_HERE = "worker processes"


@dataclass(frozen=True)
class Ready:
    """The worker has imported all it needs and waits for its first group."""


@dataclass(frozen=True)
class Began:
    """The worker has taken a group, and holds the shared block for it."""


@dataclass(frozen=True)
class Finished:
    """What a worker answers when a group's episodes are in the shared memory."""

    times: GroupTimes


@dataclass(frozen=True)
class TooShort:
    """What a worker answers where an episode outgrew the arrays that it was given."""


@dataclass(frozen=True)
class Failed:
    """What a worker answers, or is said to have answered, where it could not."""

    traceback: str
    for_people: UserError | None = None
    """Says itself what to fix. The same seeds would give it again, so it is not tried again."""
    fault: str = ""
    """What the env raised, in a sentence; the traceback is then the env's own."""
    died: bool = False
    """The process has ended, rather than told this."""


Answer = Ready | Began | Finished | TooShort | Failed


def _send(connection: Connection, message: object) -> None:
    connection.send_bytes(to_bytes(message))


def _receive(connection: Connection) -> object:
    return from_bytes(connection.recv_bytes())


# ---- in the worker


def _die_with_parent() -> None:
    """End this process when its parent does, in the middle of a group, in C code or stopped, if need be."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    end_with_parent()
    threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> NoReturn:
    wait([sentinel])
    os._exit(1)


def of_its_text(error: UserError) -> UserError:
    """The error without its cause, which may hold what cannot be pickled, and of its own class if text makes one."""
    try:
        copy = type(error)(str(error))
        if str(from_bytes(to_bytes(copy).tobytes())) == str(error):
            return copy
    except Exception:  # its constructor wants something else, or its class cannot be found by name
        pass
    return UserError(str(error))


_ENDING = (signal.SIGTERM, signal.SIGHUP)


class _Ended(BaseException):
    """By a signal. No Exception, so that no handler of an env's faults takes it for one."""


def _break_off(number: int, frame: FrameType | None) -> NoReturn:
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)  # the environments are being closed now
    raise _Ended


def worker_main(connection: Connection, tasks: TaskDistribution, non_finite: NonFinite) -> None:
    """A worker's life: take groups of jobs and run them, until the parent says so or is gone.

    SIGTERM breaks a group off and closes its environments, whose own child processes would stay behind otherwise.
    """
    # Ctrl-C goes to the whole process group; the parent alone decides what becomes of its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    torch.set_num_threads(1)
    runner = GroupRunner(tasks, non_finite=non_finite)
    try:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP under nohup
                signal.signal(number, _break_off)
        _send(connection, Ready())
        _serve(connection, tasks, runner)
    except (EOFError, ConnectionError):
        pass  # the parent is gone
    except _Ended:
        with suppress(Exception):
            runner.close()
    sys.stdout.flush()
    os._exit(0)  # at once: taking torch down in order takes longer, and frees nothing that this does not


def _serve(connection: Connection, tasks: TaskDistribution, runner: GroupRunner) -> None:
    """Run one group after another. Raises EOFError or ConnectionError if the parent is gone."""
    block: SharedBlock | None = None
    while True:
        try:
            kind, *content = _receive(connection)  # type: ignore[misc]
        except (EOFError, ConnectionError):
            raise
        except Exception:  # a class that cannot be imported here
            _send(connection, Failed(traceback.format_exc()))
            continue
        if kind == "attach":
            block = receive_block(connection, *content)
            continue
        _send(connection, Began())
        jobs, actor, steps = content
        assert block is not None, "attach comes before run"
        arrays = arrays_in(block.bytes, tasks.spec, sum(job.num_episodes for job in jobs), steps)
        _send(connection, _run(runner, jobs, actor, arrays))


def _run(runner: GroupRunner, jobs: Sequence[RolloutJob], actor: Actor, arrays: Arrays) -> Finished | TooShort | Failed:
    try:
        return Finished(runner.run(jobs, actor, arrays))
    except Outgrown:
        return TooShort()
    except Exception as error:
        return failed_by(error)


def failed_by(error: Exception) -> Failed:
    """To be called where it is handled."""
    if isinstance(error, UserError):  # a NonFiniteError is one
        return Failed(traceback.format_exc(), for_people=of_its_text(error))
    if isinstance(error, EnvFault):
        return Failed(error.traceback, fault=str(error))
    return Failed(traceback.format_exc())


# ---- in the parent


class Worker:
    """The parent's handle: start, hand over a group, read the answer, end it."""

    def __init__(self, tasks: TaskDistribution, *, non_finite: NonFinite) -> None:
        """Raises UserError for tasks that cannot be sent to another process."""
        self._tasks = tasks
        try:
            self._process, self.connection = new_process(worker_main, tasks, non_finite)
        except UNSENDABLE as error:
            raise cannot_be_sent(f"the tasks {tasks.name!r}", error, to=_HERE, instead="--workers 0") from error
        self.started_at = time.monotonic()
        self._block: SharedBlock | None = None
        self._steps = tasks.spec.first_steps
        self._handing_over: threading.Thread | None = None
        self.fault: Exception | None = None
        """Of a group that could not be pickled."""
        self.is_ready = False
        """It has said so: its imports are done."""
        self.has_begun = False
        """It has taken the group handed over last."""

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

    @property
    def death(self) -> str:
        """'worker 123 died (SIGKILL, ...)', of a process that has ended or is about to."""
        self._process.join(1.0)
        code = self._process.exitcode
        reasons = {None: "", -signal.SIGKILL: " (SIGKILL: the system ran out of memory, or somebody ended it)"}
        how = f" ({signal.Signals(-code).name})" if code and code < 0 else f" (exit code {code})"
        return f"worker {self.pid} died{reasons.get(code, how)}"

    def hand_over(self, jobs: Sequence[RolloutJob], actor: Actor, *, on_fault: Callable[[], None]) -> None:
        """Send a group without waiting: a pipe holds no more than its buffer, and a stopped worker reads nothing.

        Where the group cannot be pickled `on_fault` is called, in another thread, once `fault` is set. Raises
        UserError where there is no memory for the episodes.
        """
        self.has_begun = False
        steps = self._steps
        needed = num_bytes(self._tasks.spec, sum(job.num_episodes for job in jobs), steps)
        new = None
        if self._block is None or self._block.size < needed:
            self._release_block()
            new = self._block = new_block(needed)

        def send() -> None:
            try:
                if new is not None:
                    _send(self.connection, ("attach", new.name, new.size))
                    new.send(self.connection, self._process.pid or 0)
                _send(self.connection, ("run", list(jobs), actor, steps))
            except OSError:
                pass  # it is gone: its sentinel tells
            except Exception as error:
                self.fault = cannot_be_sent("a group of jobs with its policy", error, to=_HERE, instead="--workers 0")
                self.fault.__cause__ = error
                on_fault()

        self._handing_over = threading.Thread(target=send, daemon=True)
        self._handing_over.start()

    def grow(self) -> None:
        """Give the next groups longer arrays."""
        self._steps = longer(self._tasks.spec, self._steps)

    def receive(self) -> Answer:
        """The next answer. Raises EOFError or ConnectionError if it died."""
        answer = _receive(self.connection)
        assert isinstance(answer, Answer)
        self.is_ready = True
        if isinstance(answer, Began):
            self.has_begun = True
            if self._block is not None:
                self._block.is_held_by_both()
        return answer

    def episodes(self, jobs: Sequence[RolloutJob]) -> list[Episodes]:
        """A copy of the finished group's episodes, job by job."""
        assert self._block is not None
        per_job = jobs[0].num_episodes
        arrays = arrays_in(self._block.bytes, self._tasks.spec, per_job * len(jobs), self._steps)
        return episodes_by_job(arrays, len(jobs), per_job=per_job)

    def ask_to_end(self) -> None:
        """It closes its environments and ends, also in the middle of a group; `kill` is to follow."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process now, if it has not ended, and free what it held; safe to call twice."""
        self._process.kill()
        self._process.join()
        if self._handing_over is not None:
            self._handing_over.join()  # with nobody to read the pipe its write has ended
        self.connection.close()
        self._release_block()

    def _release_block(self) -> None:
        if self._block is not None:
            self._block.close()
            self._block = None
