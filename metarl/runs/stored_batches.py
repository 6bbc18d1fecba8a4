"""The batches of a learner with a replay, in files: RUN/replay/batch_000123.safetensors, one a meta-update.

A file is whole or absent. Together with the checkpoint of an iteration, the files up to it give the replay of then.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from metarl.errors import UserError
from metarl.files import inside, read_plain, replace_file
from metarl.rl.off_policy.replay import rows_by_group
from metarl.runs.memory import available
from metarl.types import Episodes, Task, TaskData, stack_episodes

MAX_BYTES = 2**31
_FIELDS = [field.name for field in dataclasses.fields(Episodes)]
_KEY = "metarl-batch"


class _TaskName(msgspec.Struct):
    id: str
    stratum: Annotated[str, msgspec.Meta(max_length=1000)]


class StoredBatches:
    """Those of one run."""

    def __init__(self, root: Path, *, capacity: int, takes_memory: bool = True) -> None:
        """`capacity`: rows of each group that the replay keeps, behind which files are needed no more; `takes_memory`:
        it keeps them there."""
        self.root, self._capacity, self._takes_memory = root, capacity, takes_memory
        self._rows: dict[int, Counter[str]] = {}
        self._groups: set[str] = set()
        """Whose room was looked at."""

    def save(self, iteration: int, batch: Sequence[TaskData], *, iterations: int) -> None:
        """Raises UserError where disk or memory is full, or will be before the last of so many iterations."""
        data, rows = _encoded(batch), rows_by_group([batch])
        path = self._path(iteration)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not rows.keys() <= self._groups:
                self._check_room(len(data), rows, iterations - iteration)
                self._groups |= rows.keys()
            replace_file(path, data)
        except OSError as error:
            raise UserError(f"cannot save {path}: {error.strerror}; free space, and go on with --resume") from error
        self._rows[iteration] = rows

    def load(self, iterations: int) -> Iterator[list[TaskData]]:
        """Those of the first so many iterations, oldest first, from the first one that is there. Raises UserError."""
        found = {int(path.stem[6:]) for path in self.root.glob("batch_[0-9]*.safetensors")}
        numbers = range(min(found, default=iterations), iterations)
        if missing := sorted(set(numbers) - found):
            raise UserError(f"{self._path(missing[0])} is missing; restore it, or start a new run")
        for number in numbers:
            batch = _decoded(self._path(number))
            self._rows[number] = rows_by_group([batch])
            self._groups |= self._rows[number].keys()
            yield batch

    def prune(self, oldest_checkpoint: int, *, of_last: int | None = None) -> None:
        """Remove what neither this checkpoint's replay nor a later one's has any row of.

        `of_last`: of how many latest batches that replay is, where earlier ones were forgotten.
        """
        if of_last is not None:
            for iteration in [i for i in self._rows if i < oldest_checkpoint - of_last]:
                self._remove(iteration)
        later: Counter[str] = Counter()
        groups = {name for rows in self._rows.values() for name in rows}
        for iteration in sorted((i for i in self._rows if i < oldest_checkpoint), reverse=True):
            if all(later[name] >= self._capacity for name in groups):
                self._remove(iteration)
            else:
                later += self._rows[iteration]

    def _remove(self, iteration: int) -> None:
        self._path(iteration).unlink(missing_ok=True)
        del self._rows[iteration]

    def _path(self, iteration: int) -> Path:
        return inside(self.root, f"batch_{iteration:06d}.safetensors")

    def _check_room(self, num_bytes: int, rows: Counter[str], iterations: int) -> None:
        """Those to come are taken to be as large as the first one of their groups, and a row as large in the replay as
        in a file."""
        most = 2 + max(self._capacity // max(count, 1) for count in rows.values()) if rows else iterations
        needed, free = num_bytes * min(iterations, most), shutil.disk_usage(self.root).free
        if needed > free:
            raise UserError(
                f"the replay of this run will take about {needed:,} bytes in {self.root}, and {free:,} are free; "
                "free space, choose another --out, or lower replay_capacity"
            )
        if self._takes_memory and 0 < (free := available()) < needed:
            raise UserError(
                f"the replay of this run will take about {needed:,} bytes of memory, and {free:,} are available; "
                "end other programs, lower replay_capacity, or set replay_on disk"
            )


def _encoded(batch: Sequence[TaskData]) -> bytes:
    tensors = _tensors([data.query for data in batch])
    for i, of_tasks in enumerate(zip(*(data.supports for data in batch), strict=True)):
        tensors |= {f"support{i}.{name}": x for name, x in _tensors(of_tasks).items()}
    tasks = [{"id": data.task.id, "stratum": data.task.stratum} for data in batch]
    return save_tensors(tensors, {_KEY: json.dumps(tasks)})


def _tensors(of_tasks: Sequence[Episodes]) -> dict[str, Tensor]:
    episodes = stack_episodes(of_tasks)
    steps = int(episodes.mask.sum(-1).max())
    every = {name: getattr(episodes, name) for name in _FIELDS}
    return {name: (x if name == "last_obs" else x[:, :, :steps]).contiguous() for name, x in every.items()}


def _decoded(path: Path) -> list[TaskData]:
    """Raises UserError for what is damaged."""
    try:
        data = read_plain(path, max_bytes=MAX_BYTES)
        tensors = load_tensors(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        tasks = msgspec.json.decode(header["__metadata__"][_KEY], type=list[_TaskName])
        rounds = sum(name.endswith(".mask") for name in tensors)
        sets = [
            tuple(Episodes(**{name: tensors[f"{of_set}{name}"][i] for name in _FIELDS}) for i in range(len(tasks)))
            for of_set in (*(f"support{k}." for k in range(rounds)), "")
        ]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; restore it, or start a new run") from error
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it, or start a new run") from error
    return [
        TaskData(Task(task.id, {}, task.stratum), of_task[:-1], of_task[-1])
        for task, of_task in zip(tasks, zip(*sets, strict=True), strict=True)
    ]
