"""A seeded share of the classes held out, for data that comes without a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarl.errors import UserError
from metarl.fewshot.class_episodes import ClassSplits


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
    order = np.random.Generator(np.random.PCG64(split_seed)).permutation(len(names)).tolist()
    return {"train": sorted(order[num_test:]), "test": sorted(order[:num_test])}
