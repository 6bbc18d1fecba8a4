"""Drawings in image files, dark ink on light paper, as the data sets of drawings have them: ink 1, paper 0."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.image_folder import open_image


def read_ink(path: Path, *, side: int = 1) -> NDArray[np.float32]:
    """(n, n) in [0, 1], n >= side: a drawing that is not square or smaller lies in the middle of its paper.

    Raises UserError for what is no image, or light on dark.
    """
    grey = np.asarray(open_image(path, "L"), np.float32)
    if grey.mean() < 127.5:
        raise UserError(
            f"{path} is dark on the whole (mean {grey.mean():.0f} of 255), but drawings are dark ink on light paper; "
            "invert or brighten it"
        )
    paper = np.percentile(grey, 90, method="nearest")  # 255 if drawn on a screen, less on a photo
    ink = (1 - grey / paper).clip(0)
    n = max(side, *ink.shape)
    before = [(n - length) // 2 for length in ink.shape]
    return np.pad(ink, [(b, n - length - b) for b, length in zip(before, ink.shape, strict=True)])


def nearest_pixels(images: NDArray, size: int) -> NDArray:
    """(..., n, n) -> (..., size, size): the pixel in the middle of each new one's part."""
    at = ((np.arange(size) + 0.5) * images.shape[-1] / size).astype(int)
    return images[..., at[:, None], at]


def mean_pixels(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(..., n, n) -> (..., size, size): the mean of each new one's part."""
    weights = overlap(size, images.shape[-1])
    return (weights @ images @ weights.T).astype(np.float32, copy=False)


@functools.cache  # for each task's images ask for it again
def overlap(size: int, original: int) -> NDArray[np.float32]:
    """(size, original): how much of each original pixel's row is in a new one's, rows sum to 1."""
    width = original / size
    left, pixel = width * np.arange(size)[:, None], np.arange(original)
    common = np.minimum(left + width, pixel + 1) - np.maximum(left, pixel)
    return (common.clip(0) / width).astype(np.float32)
