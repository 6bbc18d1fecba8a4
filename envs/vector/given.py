"""Tasks that a user sets: each is looked at before an episode is begun with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metarl.errors import UserError
from metarl.tasks import MakesTask, TaskDistribution, check_like
from metarl.types import Task

Given = Task | Mapping[str, Any] | None
"""A task, its params, or None: none is set, and each episode is of a new draw."""


def tasks_given(tasks: TaskDistribution, given: Given | Sequence[Given], num_envs: int) -> list[Task | None]:
    """One for all envs, or one for each. Raises UserError for what is no task of `tasks`."""
    if given is None or isinstance(given, (Task, Mapping)):
        given = [given]
        each = [_checked(tasks, given[0])] * num_envs
    elif isinstance(given, Sequence) and not isinstance(given, str) and len(given) == num_envs:
        each = [_checked(tasks, one) for one in given]
    else:
        what = f"{len(given)} of them" if isinstance(given, Sequence) and not isinstance(given, str) else repr(given)
        raise UserError(f"task: give a Task, its params, or a list of {num_envs}, one for each env, and not {what}")
    return each


def _checked(tasks: TaskDistribution, given: Given) -> Task | None:
    if given is None:
        return None
    params = given.params if isinstance(given, Task) else given
    example = tasks.meta_test()[0]
    try:
        if not isinstance(params, Mapping):
            raise TypeError(f"it is {type(given).__name__}")
        if isinstance(tasks, MakesTask):
            made = tasks.task(params)
        else:
            check_like(params, example.params)
            made = Task(str(dict(params)), dict(params))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{str(given)[:150]} is no task of {tasks.name} ({error}); its params are like "
            f"{str(dict(example.params))[:150]}"
        ) from error
    return given if isinstance(given, Task) else made
