"""Which classes are trained on and which held out: splits that share none, by a seeded shuffle where data have none."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from metarl.errors import UserError
from metarl.fewshot.data.source import Split

ClassSplits = Mapping[Split, Sequence[int]]
"""Class indices of meta-training and of the held-out tasks; `val` may be left out."""


def plain_name(name: str) -> str:
    """A class's, as it is compared: one 'café' is stored in four characters and another in five."""
    return unicodedata.normalize("NFC", name).strip()


def check_splits(splits: ClassSplits, names: Sequence[str]) -> None:
    """Raises UserError naming a class that two splits share, because its score would be memory, not adaptation, or
    one that is in a split twice or not among the `names`. Warns of names that differ in case alone: 'a' and 'A' may be
    two letters, and 'dog' and 'Dog' one class."""
    alike: dict[str, str] = {}
    for name in (names[int(c)] for classes in splits.values() for c in classes if 0 <= c < len(names)):
        if (other := alike.setdefault(plain_name(name).casefold(), name)) != name:
            warnings.warn(
                f"classes {other!r} and {name!r} differ in case alone, and count as two; give them one name if they "
                "are one",
                stacklevel=2,
            )
    seen: dict[int, str] = {}
    for split, classes in splits.items():
        for c in map(int, classes):
            if not 0 <= c < len(names):
                raise UserError(f"the {split} split has class {c}, but classes are 0 to {len(names) - 1}; take it out")
            if (other := seen.get(c)) == split:
                raise UserError(f"class {names[c]!r} is in {split} twice, and would be two classes; take one out")
            if other is not None:
                raise UserError(
                    f"class {names[c]!r} is in both {other} and {split}; splits must be disjoint: take it out of one"
                )
            seen[c] = split


def hold_out(names: Sequence[str], *, test_share: float, split_seed: int, where: object) -> ClassSplits:
    """Numbers of the classes of each split; `where` is what an error calls the place that they come from.

    Raises UserError where a split has fewer than two: no task could be drawn from it.
    """
    num_test = round(test_share * len(names))
    if min(num_test, len(names) - num_test) < 2:
        raise UserError(
            f"test_share={test_share} of the {len(names)} classes in {where} leaves {len(names) - num_test} to train "
            f"on and {num_test} to test on, which must be >= 2 each; change it or add classes"
        )
    order = _shuffled(len(names), split_seed)
    return {"train": sorted(order[num_test:]), "test": sorted(order[:num_test])}


def with_val(splits: ClassSplits, val_share: float) -> ClassSplits:
    """That share of the training classes as a split of its own, by one shuffle for all runs; test stays as it is.

    Raises UserError where one of the two would have fewer than two classes, or the data bring such a split along.
    """
    if val_share == 0:
        return splits
    if splits.get("val"):
        raise UserError(f"val_share={val_share}: the data have a val split of their own; leave --val-share out")
    train = [*splits["train"]]
    num_val = round(val_share * len(train))
    if min(num_val, len(train) - num_val) < 2:
        remedy = f"give {math.ceil(200 / len(train)) / 100:g} or more" if num_val < 2 else "give less"
        raise UserError(
            f"val_share={val_share} of {len(train)} training classes leaves {len(train) - num_val} to train on and "
            f"{num_val} to choose settings by, which must be >= 2 each; {remedy}, or leave it out"
        )
    order = [train[place] for place in _shuffled(len(train), 0)]
    return {**splits, "train": sorted(order[num_val:]), "val": sorted(order[:num_val])}


def _shuffled(number: int, seed: int) -> list[int]:
    return np.random.Generator(np.random.PCG64(seed)).permutation(number).tolist()
