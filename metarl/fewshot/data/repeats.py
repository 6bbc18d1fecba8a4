"""Examples that stand twice: in a class they count once, and across classes they are told."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.fewshot.data.source import Split


def first_of_each(rows: NDArray, labels: Sequence[Any], *, what: str) -> NDArray[np.bool_]:
    """(M,) True for the first of the equal rows (M, ...) of a label; warns with the number of the others.

    A query would stand in its own support set otherwise, and be named right by any method. Told before it is looked at
    whether the rows are enough, as an error then counts each once.
    """
    seen: set[tuple[Any, bytes]] = set()
    kept = np.zeros(len(rows), bool)
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        if (key := (label, _digest(row))) not in seen:
            seen.add(key)
            kept[place] = True
    if repeated := int((~kept).sum()):
        found = f"{repeated} of {len(rows)} examples in {what} repeat one of their class"
        warnings.warn(f"{found}; each counts once", stacklevel=3)
    return kept


def warn_of_shared(rows: NDArray, split_of: Sequence[Split], *, what: str) -> None:
    """Warns with the numbers of rows (M, ...) that stand in several classes, and in several splits.

    Of each class they are different ones (`first_of_each`); `split_of` each (M,).
    """
    splits: dict[bytes, list[Split]] = {}
    for row, split in zip(rows, split_of, strict=True):
        splits.setdefault(_digest(row), []).append(split)
    shared = [found for found in splits.values() if len(found) > 1]
    if shared:
        across = sum(len(set(found)) > 1 for found in shared)
        warnings.warn(
            f"{len(shared)} examples in {what} stand in several classes, {across} of them in classes that are trained "
            "on and in classes that are held out: a score is then partly memory; look at them",
            stacklevel=3,
        )


def split_of_each(labels: Sequence[Any], names: Sequence[Any], splits: Mapping[Split, Sequence[int]]) -> list[Split]:
    """The split of each label, by the classes' numbers in `names`."""
    of_class: dict[Any, Split] = {names[c]: split for split, classes in splits.items() for c in classes}
    return [of_class[label] for label in labels]


def _digest(row: Any) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(row).tobytes()).digest()
