"""Shaping functions of Meta-World's rewards, for one float (dm_control's `tolerance`, Tassa et al. 2018).

Outside [lower, upper] the value falls with the distance d = (x - nearest bound) / margin: 0.1 at d = 1.
A margin of 0 means a step function.

Types matter here. Where an argument is a np.float32 (the gripper's action), NumPy keeps the whole expression
in float32, as in Meta-World, whose rewards therefore carry float32 rounding (1e-7) while the gripper closes.
"""

from __future__ import annotations

import math

import numpy as np

Point = tuple[float, float, float] | list[float]
Real = float | np.float32

GAUSSIAN_SCALE = math.sqrt(-2 * math.log(0.1))


def long_tail(x: float, lower: float, upper: float, margin: float) -> float:
    """1 inside [lower, upper], else 1 / ((3 d)^2 + 1)."""
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    d = (lower - x if x < lower else x - upper) / margin
    return 1 / ((d * 3.0) ** 2 + 1)


def gaussian(x: float, lower: float, upper: float, margin: float) -> float:
    """1 inside [lower, upper], else exp(-(d sqrt(-2 ln 0.1))^2 / 2)."""
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    d = (lower - x if x < lower else x - upper) / margin
    return math.exp(-0.5 * (d * GAUSSIAN_SCALE) ** 2)


def hamacher(a: Real, b: Real) -> float:
    """a b / (a + b - a b) for a, b in [0, 1]: a soft "and" (the Hamacher t-norm)."""
    ab = a * b
    denominator = a + b - ab
    return ab / denominator if denominator > 0 else 0.0  # pyright: ignore[reportReturnType]


def distance(a: Point, b: Point) -> float:
    """Euclidean distance of two points, metres."""
    x, y, z = a
    u, v, w = b
    x -= u
    y -= v
    z -= w
    return math.sqrt(x * x + y * y + z * z)


def scaled_distance(a: Point, b: Point, scale: tuple[float, float, float]) -> float:
    """|(a - b) * scale|: a distance that weighs the axes differently."""
    x, y, z = a
    u, v, w = b
    p, q, r = scale
    x = (x - u) * p
    y = (y - v) * q
    z = (z - w) * r
    return math.sqrt(x * x + y * y + z * z)
