"""Where few-shot tasks and their data come from: the protocol that every data set is brought to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metarl.fewshot.examples import Shape
from metarl.types import Task, TaskData
from metarl.validate import Bounds, Checked, Count

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class DataSpec:
    """What a learner is built for."""

    input_shape: Shape
    outputs: int
    """Classes of a training task at most, or numbers that a regression predicts."""
    regression: bool = False
    train_classes: int = 0
    """Classes of the training split, rotations counted; 0 for a regression."""


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig(Checked):
    """Ways and shots of a task (Vinyals et al. 2016): N classes, K support and Q query examples of each."""

    ways: Annotated[int, Bounds(least=2, remedy="one class leaves nothing to tell apart")] = 5
    shots: Count = 1
    queries: Count = 15
    """Query examples a class."""
    max_ways: Count | None = None
    """If given, ways are drawn anew for each meta-batch, from `ways` to `max_ways`."""
    max_shots: Count | None = None
    """If given, shots are drawn anew for each meta-batch, from `shots` to `max_shots`."""
    val_share: Annotated[float, Bounds(least=0, below=1)] = 0.0
    """Of the training classes, kept out of training to choose settings by (`--held-out val`); test classes stay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Bounds(least=self.ways).check("max_ways", self.max_ways)
        Bounds(least=self.shots).check("max_shots", self.max_shots)

    @property
    def most_ways(self) -> int:
        return self.max_ways or self.ways

    @property
    def most_examples(self) -> int:
        """Of one class in one task."""
        return (self.max_shots or self.shots) + self.queries


class EpisodeSource(Protocol):
    """A data set as a distribution of few-shot tasks."""

    @property
    def spec(self) -> DataSpec: ...

    def sample_tasks(self, num_tasks: int, *, split: Split, rng: np.random.Generator) -> list[Task]:
        """Training tasks of one meta-batch, all of one size."""
        ...

    def test_tasks(self, suite: str, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Held-out tasks of a suite such as 5w1s (5-way 1-shot); some data sets have suites of their own."""
        ...

    def data(self, tasks: Sequence[Task], *, rng: np.random.Generator) -> list[TaskData]:
        """Support and query examples of tasks of one size; what a task leaves open is drawn from `rng`."""
        ...


@runtime_checkable
class HasVal(Protocol):
    """What a source may offer besides: settings can then be chosen without a look at the test classes."""

    def val_tasks(self, suite: str, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """As `test_tasks`, of classes that are neither trained nor tested on. Raises UserError if there are none."""
        ...


@runtime_checkable
class HasClasses(Protocol):
    """What a source may offer besides: a run is then not evaluated on classes that it was trained on."""

    def class_sizes(self, split: Split) -> dict[str, int]:
        """Examples of each of the data set's own classes, by its name."""
        ...


@runtime_checkable
class NamesClasses(Protocol):
    """What a source may offer besides: a person then reads names, where there would be numbers."""

    def class_name(self, class_id: int) -> str: ...


def class_names(source: EpisodeSource, task: Task) -> dict[int, str]:
    """Of a task's labels, by what its data call the classes, or by their numbers."""
    name_of = source.class_name if isinstance(source, NamesClasses) else "class {}".format
    return {label: name_of(c) for label, c in enumerate(task.params["classes"])}


RawKind = Literal["texts", "images", "arrays"]


class Encoder(Protocol):
    """How your own examples become inputs as those of a data set are.

    A dataclass of numbers, texts and arrays, so that it can be stored (`registry.ENCODERS`).
    """

    kind: ClassVar[RawKind]
    """What it takes: texts, paths of image files, or an array (n, ...) as the data set has it on the disk."""

    def encode(self, raw: Any) -> NDArray[np.float32]:
        """Inputs (n, ...). Raises UserError for what is no such example."""
        ...


@runtime_checkable
class HasEncoder(Protocol):
    """What a source may offer besides: a run is then asked about texts or image files, where there would be arrays."""

    encoder: Encoder | None


@runtime_checkable
class HasOutOfScope(Protocol):
    """What a source may offer besides: the evaluation then tells how well a learner knows what it does not know."""

    num_out_of_scope: int
    """Inputs that are of no class of any task."""

    def out_of_scope(self, numbers: NDArray[np.int64]) -> Tensor:
        """Those of these numbers (n,), (n, ...)."""
        ...
