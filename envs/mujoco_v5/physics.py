"""The part of MuJoCo that this package uses. Its compiled module ships no types: here it becomes `Any`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import mujoco
import numpy as np

_mujoco: Any = mujoco

MjModel: TypeAlias = Any
MjData: TypeAlias = Any

make_data = _mujoco.MjData
mj_step = _mujoco.mj_step
mj_forward = _mujoco.mj_forward
mj_reset_data = _mujoco.mj_resetData
mj_contact_forces = _mujoco.mj_rnePostConstraint
"""Fills cacc, cfrc_int and cfrc_ext, which mj_step leaves alone; the state is untouched."""

_ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


@cache
def load_model(xml: str) -> MjModel:
    """One of gymnasium's models, compiled once a process; read-only by agreement, change a `changed_model`.

    MuJoCo's answer to an unstable simulation is to reset it silently in the middle of the episode; that is turned
    off, so that a NaN shows as one and the rollout's `non_finite` setting decides.
    """
    model = _mujoco.MjModel.from_xml_path(str(_ASSETS / xml))
    model.opt.disableflags |= int(_mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    return model


def changed_model(model: MjModel, scales: Mapping[str, Any]) -> MjModel:
    """A copy whose named fields are multiplied by `scales`, with what MuJoCo derives from them made anew."""
    changed = copy.copy(model)
    for field, scale in scales.items():
        getattr(changed, field)[...] *= np.asarray(scale)
    refresh_constants(changed)
    return changed


def refresh_constants(model: MjModel) -> None:
    """Subtree masses, inverse weights and the like: without it, constraints go on with those of the old masses."""
    _mujoco.mj_setConst(model, make_data(model))
