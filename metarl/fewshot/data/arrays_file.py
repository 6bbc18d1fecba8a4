"""Arrays of your own in a .npz file: vectors, images or series with a label each, some classes held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metarl.config import NAMES_FILES
from metarl.errors import UserError
from metarl.fewshot.data.arrays import check_channels_first
from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes, by_class
from metarl.fewshot.data.enough import Wanted, check_enough
from metarl.fewshot.data.own_examples import read_own
from metarl.fewshot.data.repeats import first_of_each, split_of_each, warn_of_shared
from metarl.fewshot.data.source import EpisodeConfig, RawKind
from metarl.fewshot.data.splits import hold_out, plain_name, with_val
from metarl.validate import Checked, Count, Natural, OpenShare

IMAGES = 4
"""Dimensions of an array of images (n, C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class ArraysConfig(Checked):
    """Settings of few-shot tasks from a .npz file."""

    file: str = field(default="", metadata={NAMES_FILES: True})
    """A .npz with X and y (n,): X (n, D) of vectors, (n, C, H, W) of images, or (n, T, C) of series, which a net sees
    as vectors of T C numbers."""
    standardise: bool = True
    """To mean 0 and deviation 1 over the training classes' examples: each number of a vector, each channel of images,
    and each channel of series."""
    test_share: OpenShare = 0.3
    """Of the classes, held out by the seeded shuffle below."""
    split_seed: Natural = 0
    test_queries: Count = 5


def arrays_file(config: ArraysConfig, episodes: EpisodeConfig, *, suites: Sequence[str] | None = None) -> ClassEpisodes:
    """Raises UserError naming what is missing in the file, or the example that is not finite; with the `suites` that
    will be asked of it also all that the classes lack, at once."""
    if not config.file:
        raise UserError("--file is missing; give a .npz file with X (n, ...) and y (n,)")
    path = Path(config.file)
    own = read_own(path, "arrays", need_labels=True)
    X = check_numbers(np.asarray(own.raw), what=str(path))
    if "" in (names := [plain_name(str(label)) for label in own.labels or ()]):
        raise UserError(f"example {names.index('')} of {path} has an empty label; label it or leave it out")
    kept = first_of_each(X, names, what=config.file)
    data_set = by_class(X[kept], np.asarray(names)[kept])
    if suites is not None:
        wanted = Wanted(episodes, suites, config.test_queries, config.test_share, config.split_seed)
        check_enough(dict(zip(data_set.names, data_set.sizes.tolist(), strict=True)), wanted, where=config.file)
    splits = hold_out(data_set.names, test_share=config.test_share, split_seed=config.split_seed, where=config.file)
    splits = with_val(splits, episodes.val_share)
    split_of = split_of_each(np.asarray(names)[kept].tolist(), data_set.names, splits)
    warn_of_shared(X[kept], split_of, what=config.file)
    encoder = standardising(data_set, splits["train"]) if config.standardise else plain(X.shape[1:])
    return ClassEpisodes(
        ClassData(encoder.encode(data_set.rows), data_set.starts, data_set.names),
        splits,
        episodes,
        test_queries=config.test_queries,
        encoder=encoder,
    )


@dataclass(frozen=True)
class ArrayEncoder:
    """One's own arrays as those of the file are: implements `Encoder`."""

    mean: NDArray[np.float64]
    """Broadcasts over an example."""
    deviation: NDArray[np.float64]
    shape: tuple[int, ...]
    """Of an example in the file."""

    kind: ClassVar[RawKind] = "arrays"

    def encode(self, raw: Sequence[Any] | NDArray) -> NDArray[np.float32]:
        """(n, *shape) -> (n, D) or (n, C, H, W)."""
        rows = check_numbers(np.asarray(raw), what="the examples")
        if rows.shape[1:] != self.shape:
            raise UserError(f"examples of the shape {rows.shape[1:]} are not like those trained on, {self.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            rows = ((rows - self.mean) / self.deviation).astype(np.float32)
        if not np.isfinite(rows).all():
            raise UserError("the examples have numbers too large for 32 bits; scale them to a smaller unit")
        return rows if rows.ndim == IMAGES else rows.reshape(len(rows), -1)


def plain(shape: tuple[int, ...]) -> ArrayEncoder:
    """An encoder that leaves rows of this shape as they are."""
    return ArrayEncoder(np.zeros(1), np.ones(1), shape)


def standardising(data_set: ClassData, classes: Sequence[int]) -> ArrayEncoder:
    """By the examples of those classes; what does not vary by a millionth of its size is only centred."""
    rows = np.concatenate([data_set.rows[data_set.starts[c] : data_set.starts[c + 1]] for c in classes])
    # over the examples, and over what one kind of reading is repeated on: the pixels of images, the times of series
    axes = {IMAGES: (0, 2, 3), 3: (0, 1)}.get(rows.ndim, (0,))
    mean = np.asarray(rows.mean(axis=axes, keepdims=True, dtype=np.float64))[0]
    deviation = np.asarray(rows.std(axis=axes, keepdims=True, dtype=np.float64))[0]
    # rounding gives what never varies a deviation of its own, which would blow up the least difference later
    deviation[deviation <= 1e-6 * np.abs(rows).max(axis=axes, keepdims=True)[0]] = 1
    return ArrayEncoder(mean, deviation, rows.shape[1:])


def check_numbers(X: NDArray, *, what: str) -> NDArray:
    """Raises UserError for what is no array of finite numbers (n, ...) of two to four dimensions."""
    if X.dtype.kind not in "biuf":
        raise UserError(f"X of {what} is of type {X.dtype}, which must be numbers; convert it")
    X = X.astype(np.uint8) if X.dtype == bool else X  # NumPy gives no negative of a boolean
    if not 2 <= X.ndim <= IMAGES:
        raise UserError(f"X of {what} has the shape {X.shape}, which must be (n, D), (n, T, C) or (n, C, H, W)")
    if X[:1].size == 0:
        raise UserError(f"X of {what} has the shape {X.shape}, in which an example has no number; give at least one")
    check_channels_first(X.shape, what=f"X of {what}")
    finite = np.isfinite(X.reshape(len(X), -1)).all(1)
    if not finite.all():
        raise UserError(
            f"example {int(np.flatnonzero(~finite)[0])} of {what} has a NaN or infinite number; leave it out "
            f"({int((~finite).sum())} of {len(X)} have one)"
        )
    if X.size and max(X.max(), -X.min()) > np.finfo(np.float32).max:
        raise UserError(f"X of {what} has numbers too large for 32 bits; scale them to a smaller unit")
    return X
