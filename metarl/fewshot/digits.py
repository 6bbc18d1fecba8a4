"""scikit-learn's handwritten digits (Alpaydin and Kaynak 1998): 1,797 images of 8x8, the data set that needs nothing.

Ten classes are few to split, so turned digits are classes too, as in Omniglot: 0 to 5 for meta-training, 6 to 9 held
out, where a 9 is almost a 6 upside down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.class_episodes import ClassEpisodes, by_class
from metarl.fewshot.source import EpisodeConfig
from metarl.validate import check_range


@dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    rotations: bool = True
    """Digits turned by 90, 180 and 270 degrees are classes of their own."""
    test_digits: tuple[int, ...] = (6, 7, 8, 9)
    test_queries: int = 15

    def __post_init__(self) -> None:
        check_range(self, "test_digits", low=0, high=9)


def digits(config: DigitsConfig, episodes: EpisodeConfig) -> ClassEpisodes:
    """Images (1, 8, 8) in [0, 1]. Raises UserError if scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError("the digits come with scikit-learn, which is missing; pip install scikit-learn") from error
    images, labels = load_digits(return_X_y=True)
    data_set = by_class(images.astype(np.uint8).reshape(-1, 8, 8), labels.astype(str), to_input=to_image)
    test = [i for i, name in enumerate(data_set.names) if int(name) in config.test_digits]
    train = [i for i in range(len(data_set.names)) if i not in test]
    return ClassEpisodes(
        data_set,
        {"train": train, "test": test},
        episodes,
        rotations=config.rotations,
        test_queries=config.test_queries,
    )


def to_image(rows: NDArray) -> NDArray[np.float32]:
    """Grey values 0 to 16 -> (n, 1, 8, 8)."""
    return rows[:, None].astype(np.float32) / np.float32(16)
