"""The part of MuJoCo that this package uses. Its compiled module ships no types: here it becomes `Any`."""

from __future__ import annotations

from typing import Any, TypeAlias

import mujoco
import numpy as np

_mujoco: Any = mujoco

MjModel: TypeAlias = Any
MjData: TypeAlias = Any

make_data = _mujoco.MjData
mj_step = _mujoco.mj_step
mj_forward = _mujoco.mj_forward

_STATE = int(_mujoco.mjtState.mjSTATE_INTEGRATION)
"""All that mj_step reads: qpos, qvel, control, mocap and the solver's warm start (for the last bits)."""


def get_state(model: MjModel, data: MjData, *, into: np.ndarray | None = None) -> np.ndarray:
    """The full physics state, (mj_stateSize,) float64; written into an array of that size where one is given."""
    state = np.empty(_mujoco.mj_stateSize(model, _STATE)) if into is None else into
    _mujoco.mj_getState(model, data, state, _STATE)
    return state


def set_state(model: MjModel, data: MjData, state: np.ndarray) -> None:
    """Inverse of `get_state`; what MuJoCo derives from the state stays stale until the next step."""
    _mujoco.mj_setState(model, data, state, _STATE)
