"""Rotation matrix to quaternion, in the convention of Meta-World's observations."""

from __future__ import annotations

import math


def quaternion_xyzw(m: list[float]) -> list[float]:
    """Unit quaternion (x, y, z, w) of a rotation matrix given as 9 row-major floats.

    The sign is part of the observation and follows scipy's `Rotation.from_matrix(...).as_quat()` (Shepperd
    1978: the largest of the three diagonal entries and the trace decides, the first winning a tie). MuJoCo's
    matrices are orthogonal to 1e-15, so scipy's orthogonalisation (tolerance 1e-12) never runs.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m
    trace = m00 + m11 + m22
    largest = max(m00, m11, m22, trace)
    if m00 == largest:
        x, y, z, w = 1 - trace + 2 * m00, m10 + m01, m20 + m02, m21 - m12
    elif m11 == largest:
        x, y, z, w = m10 + m01, 1 - trace + 2 * m11, m21 + m12, m02 - m20
    elif m22 == largest:
        x, y, z, w = m20 + m02, m21 + m12, 1 - trace + 2 * m22, m10 - m01
    else:
        x, y, z, w = m21 - m12, m02 - m20, m10 - m01, 1 + trace
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    return [x / norm, y / norm, z / norm, w / norm]
