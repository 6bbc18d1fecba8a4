"""Models of gymnasium's robots, as they are and changed, and what more of MuJoCo these robots use."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from metarl.envs.mujoco_calls import MjModel, make_data, untyped

mj_reset_data = untyped.mj_resetData
mj_contact_forces = untyped.mj_rnePostConstraint
"""Fills cacc, cfrc_int and cfrc_ext, which mj_step leaves alone; the state is untouched."""

_ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


@cache
def load_model(xml: str) -> MjModel:
    """One of gymnasium's models, compiled once a process; read-only by agreement, change a `changed_model`.

    MuJoCo's answer to an unstable simulation is to reset it silently in the middle of the episode; that is turned
    off, so that a NaN shows as one and the rollout's `non_finite` setting decides.
    """
    model = untyped.MjModel.from_xml_path(str(_ASSETS / xml))
    model.opt.disableflags |= int(untyped.mjtDisableBit.mjDSBL_AUTORESET)
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
    untyped.mj_setConst(model, make_data(model))
