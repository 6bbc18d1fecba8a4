"""Few-shot learning on plain arrays, in scikit-learn's words: fit on tasks, adapt to a support set, predict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from metarl.errors import UserError, nearest
from metarl.fewshot.class_episodes import ClassEpisodes, by_class
from metarl.fewshot.examples import Examples, check_examples, count_ways
from metarl.fewshot.learner import FewShotLearner, Mode
from metarl.fewshot.nets import Net
from metarl.fewshot.registry import METHODS
from metarl.fewshot.source import DataSpec, EpisodeConfig
from metarl.seeding import Stream, numpy_rng, torch_rng
from metarl.types import Phi, Task, TaskData

ArrayTask = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
"""(X_support, y_support, X_query, y_query), inputs (N, C, H, W) or (N, D), labels (N,) of any kind."""


class FewShotClassifier:
    """Any registered method on arrays.

    >>> classifier = FewShotClassifier(method="prototypical", seed=0).fit(tasks)
    >>> classifier.adapt(X_support, y_support).predict(X_query)
    """

    def __init__(
        self,
        *,
        method: str = "prototypical",
        config: Any = None,
        net: Net | None = None,
        epochs: int = 1,
        tasks_per_update: int = 1,
        seed: int = 0,
    ) -> None:
        """`config` is the method's dataclass (METHODS[method].config has the defaults), `net` one of your own.

        `fit` goes through its tasks `epochs` times in a seeded order, `tasks_per_update` of them a meta-update.
        """
        if method not in METHODS:
            raise UserError(f"unknown method {method!r}{nearest(method, METHODS)}; give one of {', '.join(METHODS)}")
        if epochs < 1 or tasks_per_update < 1:
            raise UserError(f"epochs={epochs} and tasks_per_update={tasks_per_update} must be >= 1; raise them")
        self.method, self.config, self.net = method, config, net
        self.epochs, self.tasks_per_update, self.seed = epochs, tasks_per_update, seed
        self.learner: FewShotLearner | None = None
        self.classes_: NDArray = np.zeros(0)
        self._phi: Phi = None

    def fit(self, tasks: Iterable[ArrayTask]) -> FewShotClassifier:
        """Meta-train on tasks. Tasks of one meta-update must have equal sizes.

        Only the transfer baseline takes equal labels in two tasks for the same class.
        """
        data = with_train_classes([_task_data(i, *task) for i, task in enumerate(tasks)])
        if not data:
            raise UserError("fit was given 0 tasks; give at least one (X_support, y_support, X_query, y_query)")
        spec = DataSpec(
            input_shape=tuple(data[0].supports[0].x.shape[1:]),
            outputs=max(count_ways(d.supports[0].y) for d in data),
            train_classes=len({c for d in data for c in d.task.params["train_classes"]}),
        )
        self.learner = METHODS[self.method].make(
            spec, torch_rng((self.seed, Stream.INIT)), config=self.config, net=self.net
        )
        for epoch in range(self.epochs):
            order = numpy_rng((self.seed, Stream.TASKS, epoch)).permutation(len(data))
            for start in range(0, len(order), self.tasks_per_update):
                self.learner.meta_update([data[i] for i in order[start : start + self.tasks_per_update]])
        self._phi = None
        return self

    def adapt(self, X_support: ArrayLike, y_support: ArrayLike) -> FewShotClassifier:
        """Take in a support set; its labels are those that `predict` answers with. Replaces an earlier one."""
        learner = self._fitted()
        self.classes_, y = np.unique(np.asarray(y_support), return_inverse=True)
        support = Examples(_inputs(X_support), torch.from_numpy(y.astype(np.int64)))
        (self._phi,) = learner.adapt([learner.prior()], [support])
        self._input_shape = tuple(support.x.shape[1:])
        return self

    def predict(self, X_query: ArrayLike, *, mode: Mode = "inductive") -> NDArray:
        """The likeliest label of each query, (Q,)."""
        return self.classes_[self.predict_proba(X_query, mode=mode).argmax(1)]

    def predict_proba(self, X_query: ArrayLike, *, mode: Mode = "inductive") -> NDArray[np.float64]:
        """Probabilities (Q, classes), columns in the order of `classes_`."""
        learner = self._fitted()
        if self._phi is None:
            raise UserError("there is no support set yet; call adapt(X_support, y_support) first")
        x = _inputs(X_query)
        check_examples(Examples(x, torch.zeros(len(x))), input_shape=self._input_shape, what="query set")
        (scores,) = learner.predict([self._phi], [x], mode=mode)
        return scores[:, : len(self.classes_)].double().softmax(-1).numpy()

    def score(self, X_query: ArrayLike, y_query: ArrayLike) -> float:
        """Accuracy in [0, 1]."""
        return float((self.predict(X_query) == np.asarray(y_query)).mean())

    def _fitted(self) -> FewShotLearner:
        if self.learner is None:
            raise UserError("the classifier is not meta-trained; call fit(tasks) first")
        return self.learner


def make_tasks(
    X: ArrayLike, y: ArrayLike, *, num_tasks: int, ways: int = 5, shots: int = 1, queries: int = 5, seed: int = 0
) -> list[ArrayTask]:
    """Few-shot tasks from labelled arrays; the labels in a task are those of y."""
    data_set = by_class(np.asarray(X), np.asarray(y))
    episodes = EpisodeConfig(ways=ways, shots=shots, queries=queries)
    source = ClassEpisodes(data_set, {"train": range(len(data_set.names))}, episodes)
    rng = numpy_rng((seed, Stream.TASKS))
    tasks = []
    for task in source.sample_tasks(num_tasks, rng=rng):
        data = source.task_data(task)
        names = np.array([source.class_name(c) for c in task.params["classes"]])
        support, query = data.supports[0], data.query
        tasks.append((support.x.numpy(), names[support.y.numpy()], query.x.numpy(), names[query.y.numpy()]))
    return tasks


def _task_data(
    index: int, X_support: ArrayLike, y_support: ArrayLike, X_query: ArrayLike, y_query: ArrayLike
) -> TaskData:
    names, y = np.unique(np.asarray(y_support), return_inverse=True)
    place = {name: i for i, name in enumerate(names.tolist())}
    queries = np.asarray(y_query).tolist()
    if strange := [label for label in queries if label not in place]:
        raise UserError(
            f"task {index} asks for class {strange[0]!r}, which its support set lacks; add an example of it"
        )
    support = Examples(_inputs(X_support), torch.from_numpy(y.astype(np.int64)))
    query = Examples(_inputs(X_query), torch.tensor([place[label] for label in queries]))
    return TaskData(Task(f"task{index}", {"labels": names.tolist()}), (support,), query)


def _inputs(X: ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.asarray(X), np.float32))


def with_train_classes(tasks: Sequence[TaskData]) -> list[TaskData]:
    """For the transfer baseline: labels that are equal in two tasks are one class."""
    labels = sorted({label for data in tasks for label in data.task.params["labels"]})
    place = {label: i for i, label in enumerate(labels)}
    return [
        replace(
            d, task=Task(d.task.id, {**d.task.params, "train_classes": [place[c] for c in d.task.params["labels"]]})
        )
        for d in tasks
    ]
