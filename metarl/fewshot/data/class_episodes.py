"""Labelled data by class, and few-shot tasks drawn from it.

A class may be seen rotated by 0, 90, 180 and 270 degrees as four classes (Santoro et al. 2016): class c rotated r times
has the id 4 c + r.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.errors import UserError
from metarl.fewshot.data.source import DataSpec, Encoder, EpisodeConfig, Split
from metarl.fewshot.data.splits import ClassSplits, check_splits, with_val
from metarl.fewshot.data.suites import parse_suite
from metarl.fewshot.examples import Examples, Shape
from metarl.types import Task, TaskData

ROTATIONS = 4
FEWER = {
    "train": "--shots, --max-shots or --queries",
    "val": "--suites or --test-queries",
    "test": "--suites or --test-queries",
}
TRAIN_CLASSES = "train_classes"
"""What a training task's params have and a held-out task's do not: its classes' places among the training classes."""

Augment = Callable[[Tensor, np.random.Generator], Tensor]
"""Inputs (n, ...) of a training task to others of the same classes and shape."""


class TooFew(UserError):
    """Classes, or examples of one; the remedy is that of a training."""

    def __init__(self, lack: str, remedy: str) -> None:
        super().__init__(f"{lack}; {remedy}")
        self.lack = lack


@dataclass(frozen=True)
class ClassData:
    """Examples sorted by class: those of class c are rows starts[c] to starts[c + 1]."""

    rows: Any  # (M, ...) as stored: an array, maybe uint8, or a sparse one of scipy, which is not typed
    starts: NDArray[np.int64]  # (C + 1,)
    names: tuple[str, ...]  # (C,)
    to_input: Callable[[Any], NDArray[np.float32]] = lambda rows: rows.astype(np.float32)
    """Rows (n, ...) to what a net takes."""

    @property
    def input_shape(self) -> Shape:
        return self.to_input(self.rows[:1]).shape[1:]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


def by_class(
    rows: Any,
    labels: Sequence[str] | NDArray,
    *,
    to_input: Callable[[Any], NDArray[np.float32]] = lambda rows: rows.astype(np.float32),
) -> ClassData:
    """Sort rows (M, ...) by their labels (M,), classes in the order of their names. Raises UserError if they differ."""
    if rows.shape[0] != len(labels):
        raise UserError(f"there are {rows.shape[0]} examples and {len(labels)} labels; give one label for each example")
    names, class_of = np.unique(np.asarray(labels), return_inverse=True)
    order = np.argsort(class_of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(class_of, minlength=len(names)))])
    return ClassData(rows[order], starts, tuple(str(name) for name in names), to_input)


class ClassEpisodes:
    """An EpisodeSource over labelled data. A task's params hold its class ids and example numbers, nothing drawn later.

    Raises UserError where the splits overlap, or a training task would need more classes or examples than there are.
    """

    def __init__(
        self,
        data_set: ClassData,
        splits: ClassSplits,
        episodes: EpisodeConfig,
        *,
        rotations: bool = False,
        test_queries: int = 15,
        own_suites: Mapping[str, Callable[[], list[Task]]] | None = None,
        augment: Augment | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        """`test_queries` a class in held-out tasks whose suite does not say; `rotations` adds rotated classes to every
        split; `own_suites` are held-out tasks that the data set brings along, by name; `augment` changes training
        inputs alone; `encoder` makes inputs of a user's own examples."""
        if "val" not in splits:  # what is measured over the training classes knows it already
            splits = with_val(splits, episodes.val_share)
        check_splits(splits, data_set.names)
        shape = data_set.input_shape
        if rotations and (len(shape) != 3 or shape[1] != shape[2]):
            raise UserError(f"rotations=True turns square images (C, H, H), and inputs are {shape}; leave it out")
        self.data_set, self.episodes, self.rotations = data_set, episodes, rotations
        self._own_suites = own_suites or {}
        self._augment = augment
        self.encoder = encoder
        self._test_queries = test_queries
        factor = ROTATIONS if rotations else 1
        self._classes: dict[Split, NDArray[np.int64]] = {
            split: np.concatenate([ROTATIONS * np.asarray(classes, np.int64) + r for r in range(factor)])
            for split, classes in splits.items()
        }
        self._check_size("train", episodes.most_ways, episodes.most_examples)
        self.spec = DataSpec(
            input_shape=data_set.input_shape, outputs=episodes.most_ways, train_classes=len(self._classes["train"])
        )
        self._train_index = {int(c): i for i, c in enumerate(self._classes["train"])}

    def sample_tasks(self, num_tasks: int, *, split: Split = "train", rng: np.random.Generator) -> list[Task]:
        config = self.episodes
        ways = int(rng.integers(config.ways, config.most_ways + 1)) if config.max_ways else config.ways
        shots = int(rng.integers(config.shots, config.max_shots + 1)) if config.max_shots else config.shots
        return self._draw(num_tasks, split, ways, shots, config.queries, rng)

    def test_tasks(self, suite: str, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        if suite in self._own_suites:
            return self._own_suites[suite]()
        return self._held_out(suite, num_tasks, "test", rng)

    def val_tasks(self, suite: str, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        if suite in self._own_suites:
            raise UserError(f"suite {suite!r} is of test classes; give those of val such as 5w1s")
        if not len(self._classes.get("val", ())):
            raise UserError("the data have no val split; hold out training classes by --val-share, such as 0.2")
        return self._held_out(suite, num_tasks, "val", rng)

    def _held_out(self, suite: str, num_tasks: int, split: Split, rng: np.random.Generator) -> list[Task]:
        ways, shots, queries = parse_suite(suite)
        if ways is None:
            raise UserError(f"suite {suite!r} names no ways, but this data set has classes; give it as in '5w1s'")
        queries = queries or self._test_queries
        self._check_size(split, ways, shots + queries)
        return self._draw(num_tasks, split, ways, shots, queries, rng)

    def data(self, tasks: Sequence[Task], *, rng: np.random.Generator) -> list[TaskData]:
        return [self.task_data(task, rng if TRAIN_CLASSES in task.params else None) for task in tasks]

    def task_data(self, task: Task, augment_rng: np.random.Generator | None = None) -> TaskData:
        """Examples class by class: labels 0 0 1 1 2 2 ...; as they are stored, unless there is `augment_rng`."""
        classes = task.params["classes"]
        inputs = {part: self._inputs(classes, task.params[part]) for part in ("support", "query")}
        if self._augment is not None and augment_rng is not None:
            inputs = {part: self._augment(x, augment_rng) for part, x in inputs.items()}
        support, query = (Examples(x, _labels(task.params[part])) for part, x in inputs.items())
        return TaskData(task, (support,), query)

    def class_name(self, class_id: int) -> str:
        base, turns = divmod(class_id, ROTATIONS)
        return self.data_set.names[base] + (f", turned {90 * turns}°" if turns else "")

    def class_sizes(self, split: Split) -> dict[str, int]:
        """Of the data set's own classes: one turned is the same drawing."""
        own = sorted({int(c) // ROTATIONS for c in self._classes.get(split, ())})
        return {self.data_set.names[c]: int(self.data_set.sizes[c]) for c in own}

    def _draw(
        self, num_tasks: int, split: Split, ways: int, shots: int, queries: int, rng: np.random.Generator
    ) -> list[Task]:
        tasks = []
        for i in range(num_tasks):
            classes = rng.choice(self._classes[split], ways, replace=False)
            examples = [
                rng.permutation(self.data_set.sizes[c // ROTATIONS])[: shots + queries].tolist() for c in classes
            ]
            params = {
                "classes": classes.tolist(),
                "support": [e[:shots] for e in examples],
                "query": [e[shots:] for e in examples],
            }
            if split == "train":
                params[TRAIN_CLASSES] = [self._train_index[int(c)] for c in classes]
            tasks.append(Task(f"{split}{i}", params))
        return tasks

    def _inputs(self, classes: Sequence[int], examples: Sequence[Sequence[int]]) -> Tensor:
        """Inputs of numbered examples, (sum of examples, ...)."""
        rows = np.concatenate(
            [self.data_set.starts[c // ROTATIONS] + np.asarray(e) for c, e in zip(classes, examples, strict=True)]
        )
        inputs = self.data_set.to_input(self.data_set.rows[rows])
        if self.rotations:
            turns = np.repeat([c % ROTATIONS for c in classes], [len(e) for e in examples])
            for turn in range(1, ROTATIONS):
                if (turned := turns == turn).any():
                    inputs[turned] = np.rot90(inputs[turned], turn, axes=(-2, -1))
        return torch.from_numpy(inputs)

    def _check_size(self, split: Split, ways: int, examples: int) -> None:
        classes = self._classes.get(split, np.zeros(0, np.int64))
        if ways > len(classes):
            raise TooFew(
                f"a {ways}-way task needs {ways} classes, but the {split} split has {len(classes)}",
                f"give fewer ways by {'--ways' if split == 'train' else '--suites'}",
            )
        sizes = self.data_set.sizes[classes // ROTATIONS]
        if examples > sizes.min():
            smallest = self.data_set.names[int(classes[sizes.argmin()]) // ROTATIONS]
            raise TooFew(
                f"shots and queries make {examples} examples a class, but class {smallest!r} of the {split} split has "
                f"{sizes.min()}",
                f"give fewer by {FEWER[split]}, or leave that class out",
            )


def _labels(examples: Sequence[Sequence[int]]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(examples)), torch.tensor([len(e) for e in examples]))
