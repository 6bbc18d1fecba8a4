"""Plain arrays as examples: what is no set of examples is told in a sentence, with the name of the set it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Number
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from metarl.errors import UserError
from metarl.fewshot.examples import Examples, check_examples
from metarl.types import Task, TaskData

ArrayTask = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
"""(X_support, y_support, X_query, y_query), inputs (N, C, H, W) or (N, D), labels (N,) of any kind."""

CHANNELS = (1, 3, 4)
"""That images have: grey, in colour, and with transparency or depth."""


def without_graph(X: Any) -> Any:
    """A tensor, or the tensors of a list, as numpy takes them: off the graph and on the CPU; else X as it is."""
    if isinstance(X, torch.Tensor):
        return X.detach().cpu()
    if isinstance(X, list | tuple) and any(isinstance(x, torch.Tensor) for x in X):
        return [x.detach().cpu() if isinstance(x, torch.Tensor) else x for x in X]
    return X


def inputs_of(X: ArrayLike, *, what: str) -> torch.Tensor:
    """(N, ...) float32, of tensors without their graph. Raises UserError for what is ragged or no number."""
    try:
        return torch.from_numpy(np.ascontiguousarray(np.asarray(without_graph(X)), np.float32))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"the inputs of the {what} are no array of numbers ({str(error).partition('. ')[0]}); "
            "give each example as equally many numbers"
        ) from None


def check_channels_first(shape: Sequence[int], *, what: str) -> None:
    """Raises UserError for images (n, H, W, C): their rows would be taken for channels, and no net would complain."""
    if len(shape) == 4 and shape[3] in CHANNELS and shape[1] not in CHANNELS:
        raise UserError(
            f"{what} has the shape {tuple(shape)}, which are images with their channels last; they come first, "
            "(n, C, H, W): give X.transpose(0, 3, 1, 2)"
        )


def labels_of(y: ArrayLike, *, what: str) -> NDArray:
    """(N,), text or numbers. Raises UserError for another shape, for none, for NaN, and for both kinds."""
    y = without_graph(y)
    labels = np.asarray(y, dtype=object)  # each as it was given: numpy would make text of numbers beside text
    if labels.ndim != 1:
        raise UserError(f"the labels of the {what} have the shape {labels.shape}, which must be (N,); flatten them")
    if len(labels) == 0:
        raise UserError(f"the {what} has 0 examples; give at least one of each class")
    kinds = sorted({_kind(label) for label in labels.tolist()})
    if len(kinds) > 1:
        raise UserError(f"the labels of the {what} are {' and '.join(kinds)}, which must be of one kind; convert them")
    if kinds[0] not in ("text", "numbers"):
        raise UserError(f"the labels of the {what} are of the type {kinds[0]}, which must be text or numbers; convert")
    if kinds == ["numbers"] and (missing := [i for i, label in enumerate(labels.tolist()) if label != label]):
        raise UserError(f"label {missing[0]} of the {what} is NaN, which is no class; drop that example or label it")
    return np.asarray(y)


def _kind(label: object) -> str:
    if isinstance(label, str):
        return "text"
    return "numbers" if isinstance(label, (Number, np.bool_)) else type(label).__name__


def support_of(X: ArrayLike, y: ArrayLike, *, what: str = "support set") -> tuple[Examples, NDArray]:
    """The examples with labels 0..ways-1, and the label that each of those stands for, (ways,)."""
    names, places = np.unique(labels_of(y, what=what), return_inverse=True)
    return Examples(inputs_of(X, what=what), torch.from_numpy(places.astype(np.int64))), names


def task_data(index: int, task: Sequence[ArrayLike]) -> TaskData:
    """Raises UserError for a task that is no ArrayTask, or has queries of another shape or class than its support."""
    if len(task) != 4:
        raise UserError(f"task {index} has {len(task)} parts, which must be (X_support, y_support, X_query, y_query)")
    X_support, y_support, X_query, y_query = task
    of_support, of_query = (f"{part} set of task {index}" for part in ("support", "query"))
    support, names = support_of(X_support, y_support, what=of_support)
    place = {name: i for i, name in enumerate(names.tolist())}
    queries = labels_of(y_query, what=of_query).tolist()
    if strange := [label for label in queries if label not in place]:
        raise UserError(
            f"task {index} asks for class {strange[0]!r}, which its support set lacks; add an example of it"
        )
    query = Examples(inputs_of(X_query, what=of_query), torch.tensor([place[label] for label in queries]))
    shape = tuple(support.x.shape[1:])
    for examples, what in ((support, of_support), (query, of_query)):
        check_examples(examples, input_shape=shape, what=what)
    return TaskData(Task(f"task{index}", {"labels": names.tolist()}), (support,), query)


def with_train_classes(tasks: Sequence[TaskData]) -> list[TaskData]:
    """For the transfer baseline: labels that are equal in two tasks are one class."""
    labels = labels_of(
        list({label for data in tasks for label in data.task.params["labels"]}), what="tasks taken together"
    )
    place = {label: i for i, label in enumerate(sorted(labels.tolist()))}
    return [
        replace(
            d, task=Task(d.task.id, {**d.task.params, "train_classes": [place[c] for c in d.task.params["labels"]]})
        )
        for d in tasks
    ]
