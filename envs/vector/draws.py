"""Which task an env's next episode is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from metarl.envs.vector.options import is_whole
from metarl.errors import UserError
from metarl.tasks import HasMetaTrain, TaskDistribution, by_class
from metarl.types import Task

Split = Literal["train", "test"]


class TaskDraws:
    """The tasks of one env: a new draw each episode, a list in turn, or one that is held."""

    def __init__(self, tasks: TaskDistribution, own: Sequence[Task] = (), *, first: int = -1, stride: int = 0) -> None:
        """`own`: drawn from alone; with a stride they come in turn, every so many from `first` on."""
        self._tasks, self._own, self._first, self._stride = tasks, own, first, stride
        self._turn = first
        self.held: Task | None = None

    def restart(self) -> None:
        """Begin the turn anew: after reset(seed=) all is as it was after that seed before."""
        self._turn = self._first

    def draw(self, rng: np.random.Generator) -> Task:
        if self._stride:
            task = self._own[self._turn % len(self._own)]
            self._turn += self._stride
            return task
        if self._own:
            return self._own[int(rng.integers(len(self._own)))]
        (task,) = self._tasks.sample(1, rng=rng)
        return task

    def next(self, rng: np.random.Generator) -> Task:
        return self.draw(rng) if self.held is None else self.held


def draws_of_one(tasks: TaskDistribution, *, split: Split) -> TaskDraws:
    """Of an env by itself, which may be given any class. `test`: the held-out tasks in turn."""
    _check_split(split)
    return TaskDraws(tasks) if split == "train" else TaskDraws(tasks, tasks.meta_test(), first=0, stride=1)


def draws_of_many(tasks: TaskDistribution, num_envs: int, *, split: Split) -> list[TaskDraws]:
    """Of num_envs envs, where each class of tasks (`Task.stratum`) has as many of them, one class after the other.

    `train`: each env draws from its class. `test`: the envs of a class take its held-out tasks in turn. Raises
    UserError where the envs do not divide by the classes.
    """
    _check_split(split)
    known = tasks.meta_test() if split == "test" else tasks.meta_train() if isinstance(tasks, HasMetaTrain) else []
    classes = by_class(known)
    num_classes = max(1, len(classes))
    if not is_whole(num_envs):
        raise UserError(f"num_envs={num_envs!r} must be a whole number; give {num_classes}, or a multiple of it")
    per_class, rest = divmod(num_envs, num_classes)
    if rest or num_envs < 1:
        raise UserError(
            f"num_envs={num_envs} must be a multiple of the {num_classes} classes of {tasks.name}, which have as many "
            f"envs each; give {max(1, per_class) * num_classes}"
        )
    if split == "test":
        return [TaskDraws(tasks, own, first=i, stride=per_class) for own in classes.values() for i in range(per_class)]
    if len(classes) <= 1:
        return [TaskDraws(tasks) for _ in range(num_envs)]
    return [TaskDraws(tasks, own) for own in classes.values() for _ in range(per_class)]


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise UserError(f"split={split!r} is neither 'train' nor 'test'; give one of them")
