"""Lanes shared out to worker processes: numbers go through shared memory, two short messages a step through a pipe."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.envs.vector.shared_rows import GIVEN, Rows, num_bytes, rows_in, these
from metarl.errors import UserError, WorkerError
from metarl.rollout.processes import end_with_parent, new_process
from metarl.rollout.shared_block import new_block, receive_block
from metarl.seeding import SeedKey
from metarl.tasks import EnvStep, Lanes, TaskDistribution
from metarl.types import Task

_STEP, _DONE = "step", "done"


# ---- in the worker


def _serve(connection: Connection, tasks: TaskDistribution, num_lanes: int) -> None:
    """Answer each order with `_DONE`, a UserError, or a traceback, until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    end_with_parent()
    try:
        block = receive_block(connection, *connection.recv())
        rows, env = rows_in(block.bytes, tasks.spec, num_lanes), tasks.make_env(num_lanes)
        connection.send(_DONE)
        while True:
            connection.send(_answer(env, rows, connection.recv()))
    except (EOFError, ConnectionError):
        pass  # the parent is gone, or wants no more


def _answer(env: Any, rows: Rows, order: Any) -> Any:
    try:
        if order == _STEP:
            lanes = np.flatnonzero(rows.goes)
            which = these(lanes, rows.goes.size)
            step = env.step(lanes, rows.actions[which])
            for name in GIVEN:
                getattr(rows, name)[which] = getattr(step, name)
        else:
            lanes, tasks, seeds = order
            rows.obs[lanes] = env.reset(lanes, tasks, seeds)
        return _DONE
    except UserError as error:
        return UserError(str(error))  # its cause may hold what cannot be pickled
    except Exception:
        return traceback.format_exc()


# ---- in the parent


class _Worker:
    """A process, and the memory that its lanes' rows are in."""

    def __init__(self, tasks: TaskDistribution, lanes: slice) -> None:
        self.lanes = lanes
        self.num_lanes = num_lanes = lanes.stop - lanes.start
        self._process, self._connection = new_process(_serve, tasks, num_lanes)
        self._block = new_block(num_bytes(tasks.spec, num_lanes))
        self.rows: Any = rows_in(self._block.bytes, tasks.spec, num_lanes)
        self._connection.send((self._block.name, self._block.size))
        self._block.send(self._connection, self._process.pid or 0)

    @property
    def ending(self) -> str:
        return f"exit code {self._process.exitcode}"

    def wait_until_ready(self) -> None:
        """It has made its lanes. Raises UserError where it ends before that."""
        try:
            self.answer()
        except (EOFError, OSError) as error:
            raise UserError(
                "a worker process of the vector env ended at its start; correct what its own error above says (a "
                "script keeps what it does under `if __name__ == '__main__':`), or take workers=0"
            ) from error
        self._block.is_held_by_both()

    def act(self, which: Lanes | slice, actions: NDArray) -> None:
        """Say which lanes the next step is of, and their actions."""
        self.rows.goes[:] = False
        self.rows.goes[which], self.rows.actions[which] = True, actions

    def order(self, order: Any) -> None:
        """Raises OSError where it is dead."""
        self._connection.send(order)

    def answer(self) -> Any:
        """Raises OSError or EOFError where it is dead."""
        return self._connection.recv()

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()
        self.rows = None  # its views hold the memory
        self._block.close()


class _Part(NamedTuple):
    """A worker's part of the lanes that are named."""

    given: slice
    """Where they stand among those."""
    local: Lanes
    """Counted from the worker's first lane."""
    rows: Lanes | slice
    """What picks their rows."""


def _end(workers: list[_Worker], of: int) -> None:
    """In a fork of the process `of` nothing is done: they are that one's."""
    while workers and os.getpid() == of:
        workers.pop().close()


class WorkerLanes:
    """A BatchEnv of `num_workers` processes, each with lanes that follow one another; lanes are named in rising order.

    A process that dies is started anew, with a warning: what it was to reset it resets then, and the episodes that it
    was to step are truncated where they stood.
    """

    def __init__(self, tasks: TaskDistribution, num_lanes: int, *, num_workers: int) -> None:
        self._tasks = tasks
        self._obs = np.zeros((num_lanes, tasks.spec.obs_dim))
        self.lost = np.zeros(num_lanes, bool)
        """(num_lanes,): of which episodes the process died in the last step."""
        shares = [share for share in np.array_split(np.arange(num_lanes), num_workers) if share.size]
        self._workers = [_Worker(tasks, slice(int(share[0]), int(share[-1]) + 1)) for share in shares]
        # of an env that nobody closes, as when a notebook's cell is run again, the processes end with it
        self._pid = os.getpid()
        weakref.finalize(self, _end, self._workers, self._pid)
        for worker in self._workers:
            worker.wait_until_ready()

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        parts = self._parts(lanes)
        orders = {i: (part.local, tasks[part.given], seeds[part.given]) for i, part in parts.items()}
        died = self._exchange(orders)
        if self._exchange({i: orders[i] for i in died}):
            names = ", ".join(dict.fromkeys(task.id for i in died for task in orders[i][1]))
            raise WorkerError(f"a worker process of the vector env died twice at the reset of one of {names}")
        obs = self._gathered(parts, "obs")
        self._obs[lanes] = obs
        return obs

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        parts = self._parts(lanes)
        for i, part in parts.items():
            self._workers[i].act(part.rows, actions[part.given])
        died = self._exchange(dict.fromkeys(parts, _STEP))
        self.lost[:] = False
        for i in died:
            self.lost[self._workers[i].lanes][parts[i].local] = True
        step, lost = EnvStep(*(self._gathered(parts, name) for name in GIVEN)), self.lost[lanes]
        if died:
            step = EnvStep(
                np.where(lost[:, None], self._obs[lanes], step.obs),
                np.where(lost, 0.0, step.rewards),
                step.terminated & ~lost,
                step.truncated | lost,
                step.success & ~lost,
            )
        self._obs[these(lanes, len(self._obs))] = step.obs
        return step

    def _parts(self, lanes: Lanes) -> dict[int, _Part]:
        """By the number of each worker that has a part of them."""
        parts, begin = {}, 0
        ends = np.searchsorted(lanes, [worker.lanes.stop for worker in self._workers]).tolist()
        for i, (worker, end) in enumerate(zip(self._workers, ends, strict=True)):
            if end > begin:
                local = lanes[begin:end] - worker.lanes.start
                parts[i] = _Part(slice(begin, end), local, these(local, worker.num_lanes))
            begin = end
        return parts

    def _gathered(self, parts: Mapping[int, _Part], name: str) -> NDArray:
        """Of all lanes that are named, a copy."""
        return np.concatenate([getattr(self._workers[i].rows, name)[part.rows] for i, part in parts.items()])

    def close(self) -> None:
        _end(self._workers, self._pid)

    def _exchange(self, orders: Mapping[int, Any]) -> list[int]:
        """Have workers do something, each by its number; returns those that died of it, and are started anew."""
        if os.getpid() != self._pid:
            raise UserError("the vector env was made by the process that this one is a fork of; make another one here")
        if not self._workers:
            raise UserError("the worker processes of the vector env were ended in the middle of a step; make it anew")
        died, answers = [], []
        try:
            for i, order in orders.items():
                try:
                    self._workers[i].order(order)
                except OSError:
                    died.append(i)
            for i in [i for i in orders if i not in died]:
                try:
                    answers.append(self._workers[i].answer())
                except (EOFError, OSError):
                    died.append(i)
        except BaseException:  # Ctrl-C: an answer that nobody has read would be taken for that of the next step
            self.close()
            raise
        for i in died:
            self._start_anew(i)
        for answer in answers:
            if isinstance(answer, UserError):
                raise answer
            if answer != _DONE:
                raise WorkerError(f"a worker process of the vector env failed:\n{answer}")
        return died

    def _start_anew(self, i: int) -> None:
        dead = self._workers[i]
        dead.close()
        warnings.warn(
            f"a worker process of the vector env died ({dead.ending}) and is started anew; the episodes that it was "
            "stepping are truncated",
            RuntimeWarning,
            stacklevel=2,
        )
        self._workers[i] = _Worker(self._tasks, dead.lanes)
        self._workers[i].wait_until_ready()
