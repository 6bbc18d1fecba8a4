"""Small affine distortions of training images (Koch et al. 2015, section 3.3): more ways to draw each character."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ROTATION = math.radians(10.0)
SHEAR = 0.3
SCALE = (0.8, 1.2)
SHIFT = 4 / 105
"""In units of half an image: Koch's 2 pixels of 105."""
PROBABILITY = 0.5
"""Of each of a transformation's seven components, drawn on its own."""


def distort(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images (n, C, H, W) of background 0, each rotated, sheared, scaled and shifted at random about its middle."""
    transforms = torch.from_numpy(draw_transforms(len(images), rng).astype(np.float32))
    grid = F.affine_grid(transforms, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def draw_transforms(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2, 3): from a place in the distorted image to the place in the original, both in units of half an image."""

    def component(low: float, high: float, neutral: float) -> NDArray[np.float64]:
        drawn = rng.uniform(low, high, n)
        return np.where(rng.random(n) < PROBABILITY, drawn, neutral)

    angle = component(-ROTATION, ROTATION, 0.0)
    shear_x, shear_y = (component(-SHEAR, SHEAR, 0.0) for _ in range(2))
    scale_x, scale_y = (component(*SCALE, 1.0) for _ in range(2))
    shift = np.stack([component(-SHIFT, SHIFT, 0.0) for _ in range(2)], -1)
    rotation = _matrices(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
    one, zero = np.ones(n), np.zeros(n)
    shear = _matrices(one, shear_x, shear_y, one)
    scale = _matrices(scale_x, zero, zero, scale_y)
    return np.concatenate([rotation @ shear @ scale, shift[:, :, None]], -1)


def _matrices(a: NDArray, b: NDArray, c: NDArray, d: NDArray) -> NDArray[np.float64]:
    return np.stack([a, b, c, d], -1).reshape(-1, 2, 2)
