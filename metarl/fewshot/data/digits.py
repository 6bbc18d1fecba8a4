"""scikit-learn's handwritten digits (Alpaydin and Kaynak 1998): 1,797 images of 8x8, the data set that needs nothing.

Ten classes are few to split, so turned digits are classes too, as in Omniglot: 0 to 5 for meta-training, 6 to 9 held
out, where a 9 is almost a 6 upside down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.class_episodes import ClassEpisodes, by_class
from metarl.fewshot.data.drawings import mean_pixels, read_ink
from metarl.fewshot.data.source import EpisodeConfig, RawKind
from metarl.seeding import numpy_rng
from metarl.validate import Bounds, Checked, Count

SIDE = 8
"""Of scikit-learn's images."""
PLACES_SEED = 1998
"""Where each digit lies belongs to the data set, not to a run."""


@dataclass(frozen=True, kw_only=True)
class DigitsConfig(Checked):
    """Settings of few-shot tasks from scikit-learn's digits."""

    rotations: bool = True
    """Digits turned by 90, 180 and 270 degrees are classes of their own."""
    canvas: Annotated[int, Bounds(least=SIDE, most=64)] = 8
    """Side of the image in pixels; on more than 8 each digit lies somewhere, the same place every time. Comparing raw
    pixels then fails, and what an embedding has learned shows."""
    test_digits: tuple[Annotated[int, Bounds(least=0, most=9)], ...] = (6, 7, 8, 9)
    test_queries: Count = 15


def digits(config: DigitsConfig, episodes: EpisodeConfig) -> ClassEpisodes:
    """Images (1, canvas, canvas) in [0, 1]. Raises UserError if scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError("the digits come with scikit-learn, which is missing; pip install scikit-learn") from error
    images, labels = load_digits(return_X_y=True)
    placed = place(images.astype(np.uint8).reshape(-1, SIDE, SIDE), canvas=config.canvas, rng=numpy_rng((PLACES_SEED,)))
    data_set = by_class(placed, labels.astype(str), to_input=to_image)
    test = [i for i, name in enumerate(data_set.names) if int(name) in config.test_digits]
    train = [i for i in range(len(data_set.names)) if i not in test]
    return ClassEpisodes(
        data_set,
        {"train": train, "test": test},
        episodes,
        rotations=config.rotations,
        test_queries=config.test_queries,
        encoder=DigitsEncoder(config.canvas),
    )


@dataclass(frozen=True)
class DigitsEncoder:
    """Digits in image files as the data set has them: implements `Encoder`.

    An image is the whole canvas, shrunk to it; a smaller one lies in its middle.
    """

    canvas: int

    kind: ClassVar[RawKind] = "images"

    def encode(self, raw: Sequence[str | Path]) -> NDArray[np.float32]:
        """(n, 1, canvas, canvas), ink = 1; of the data set's own images its own values."""
        ink = np.stack([mean_pixels(read_ink(Path(path), side=self.canvas), self.canvas) for path in raw])
        return to_image(np.rint(16 * ink))  # whole sixteenths: it counts ink in 4x4 pixels of a scan


def place(images: NDArray[np.uint8], *, canvas: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each image (n, 8, 8) at a place of its own on a black canvas, (n, canvas, canvas)."""
    placed = np.zeros((len(images), canvas, canvas), np.uint8)
    corners = rng.integers(canvas - SIDE + 1, size=(len(images), 2)).tolist()
    for image, target, (row, column) in zip(images, placed, corners, strict=True):
        target[row : row + SIDE, column : column + SIDE] = image
    return placed


def to_image(rows: NDArray) -> NDArray[np.float32]:
    """Grey values 0 to 16, (n, h, w) -> (n, 1, h, w)."""
    return rows[:, None].astype(np.float32) / np.float32(16)
