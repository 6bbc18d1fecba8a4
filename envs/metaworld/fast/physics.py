"""The full state of a MuJoCo simulation: everything that the next step depends on."""

from __future__ import annotations

import numpy as np

from metarl.envs.mujoco_calls import MjData, MjModel, untyped

_STATE = int(untyped.mjtState.mjSTATE_INTEGRATION)
"""All that mj_step reads: qpos, qvel, control, mocap and the solver's warm start (for the last bits)."""


def get_state(model: MjModel, data: MjData, *, into: np.ndarray | None = None) -> np.ndarray:
    """The full physics state, (mj_stateSize,) float64; written into an array of that size where one is given."""
    state = np.empty(untyped.mj_stateSize(model, _STATE)) if into is None else into
    untyped.mj_getState(model, data, state, _STATE)
    return state


def set_state(model: MjModel, data: MjData, state: np.ndarray) -> None:
    """Inverse of `get_state`; what MuJoCo derives from the state stays stale until the next step."""
    untyped.mj_setState(model, data, state, _STATE)
