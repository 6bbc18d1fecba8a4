"""The part of MuJoCo that every env here uses. Its compiled module ships no types: here it becomes `Any`."""

from __future__ import annotations

from typing import Any, TypeAlias

import mujoco

untyped: Any = mujoco

MjModel: TypeAlias = Any
MjData: TypeAlias = Any

make_data = untyped.MjData
mj_step = untyped.mj_step
mj_forward = untyped.mj_forward
