"""The fast path's scalar formulas against the NumPy ones that Meta-World calls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

from metarl.envs.metaworld.fast.recent import Recent
from metarl.envs.metaworld.fast.rotation import quaternion_xyzw
from metarl.envs.metaworld.fast.shaping import gaussian, hamacher, long_tail


def test_quaternions_have_scipys_sign():
    """Random rotations, and those whose largest entry is each of the four in turn."""
    rng = np.random.default_rng(0)
    quats = [*rng.normal(size=(200, 4)), *np.eye(4), *(-np.eye(4)), *(np.eye(4) + 0.1), *(0.1 - np.eye(4))]
    for quat in quats:
        matrix = Rotation.from_quat(quat).as_matrix()
        expected = Rotation.from_matrix(matrix).as_quat()
        assert np.allclose(quaternion_xyzw(matrix.ravel().tolist()), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [long_tail, gaussian])
def test_shapes_equal_tolerance(shape):
    rng = np.random.default_rng(1)
    for _ in range(300):
        lower, upper = np.sort(rng.uniform(0, 1, 2)).tolist()
        x, margin = rng.uniform(-1, 2), rng.uniform(0, 2)
        for m in (margin, 0.0):
            expected = reward_utils.tolerance(x, bounds=(lower, upper), margin=m, sigmoid=shape.__name__)
            assert math.isclose(shape(x, lower, upper, m), expected, rel_tol=1e-13)


def test_shapes_at_the_margin_are_a_tenth():
    """d = 1 gives 0.1 by hand: 1 / (3^2 + 1) and exp(ln 0.1)."""
    assert long_tail(0.7, 0.0, 0.2, 0.5) == pytest.approx(0.1)
    assert gaussian(-0.5, 0.0, 0.2, 0.5) == pytest.approx(0.1)
    assert long_tail(0.2, 0.0, 0.2, 0.5) == 1.0


def test_hamacher_by_hand_and_in_float32():
    """(1/2 1/4) / (1/2 + 1/4 - 1/8) = 1/5; a float32 argument keeps the result float32, as in Meta-World."""
    assert hamacher(0.5, 0.25) == pytest.approx(0.2)
    assert hamacher(0.0, 0.0) == 0.0
    closing = np.float32(0.3)
    joint = hamacher(0.9, closing)
    assert isinstance(joint, np.float32)
    assert joint == reward_utils.hamacher_product(0.9, closing)


def test_recent_keeps_what_was_used_last():
    recent: Recent[int] = Recent(capacity=2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
