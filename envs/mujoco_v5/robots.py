"""Gymnasium's v5 robots as functions of rows: start, observation and health of many episodes at once.

Each agrees with the env of its `gym_id` in all but the reward, which belongs to a task family. Known quirk, kept:
after a step, xpos, xipos and subtree_com are those of its last substep's beginning, since mj_step computes
positions before it integrates; gymnasium reads them so, and right after a reset they are exact. A velocity taken
from them is therefore 1/frame_skip too small in the first step of an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_calls import MjModel
from metarl.envs.mujoco_v5.physics import load_model

Floats = NDArray[np.float64]
State = dict[str, Floats]
"""Fields of MjData by name, one row an episode: qpos (L, nq), qvel (L, nv), xpos (L, nbody, 3), ..."""
Start = Callable[[MjModel, np.random.Generator, Mapping[str, Any]], tuple[Floats, Floats]]
"""(model, rng, the task's params) -> qpos (nq,), qvel (nv,)."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """One of gymnasium's robots as lanes step it: its model, first state, observation and end."""

    gym_id: str
    gym_kwargs: Mapping[str, Any]
    """With these, gymnasium's env has this robot's observation and termination."""
    xml: str
    frame_skip: int
    obs_dim: int
    start: Start
    observe: Callable[[State], Floats]
    """(L, obs_dim) from the rows."""
    fallen: Callable[[State], NDArray[np.bool_]] | None = None
    """(L,) bool: the episode is terminated; None: never."""
    fields: tuple[str, ...] = ("qpos", "qvel")
    """What is read of MjData after a step."""
    own_start: bool = False
    """The start differs from gymnasium's own, because the task decides a part of it."""

    @property
    def model(self) -> MjModel:
        return load_model(self.xml)

    @property
    def dt(self) -> float:
        """Seconds of a step."""
        return self.model.opt.timestep * self.frame_skip


# ---- starts: the draws, and their order, are gymnasium's


def _noise_normal(scale: float) -> Start:
    def start(model: MjModel, rng: np.random.Generator, params: Mapping[str, Any]) -> tuple[Floats, Floats]:
        qpos = model.qpos0 + rng.uniform(-scale, scale, model.nq)
        return qpos, scale * rng.standard_normal(model.nv)

    return start


def _noise_uniform(scale: float) -> Start:
    def start(model: MjModel, rng: np.random.Generator, params: Mapping[str, Any]) -> tuple[Floats, Floats]:
        qpos = model.qpos0 + rng.uniform(-scale, scale, model.nq)
        return qpos, rng.uniform(-scale, scale, model.nv)

    return start


def _reacher_start(model: MjModel, rng: np.random.Generator, params: Mapping[str, Any]) -> tuple[Floats, Floats]:
    qpos = model.qpos0 + rng.uniform(-0.1, 0.1, model.nq)
    qpos[-2:] = params["goal"]
    qvel = rng.uniform(-0.005, 0.005, model.nv)
    qvel[-2:] = 0.0
    return qpos, qvel


def _pusher_start(model: MjModel, rng: np.random.Generator, params: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """The object lies at least 0.17 m from the goal."""
    qpos, goal = model.qpos0.copy(), np.asarray(params["goal"])
    while True:
        qpos[-4:-2] = rng.uniform(-0.3, 0.0), rng.uniform(-0.2, 0.2)
        if np.hypot(*(qpos[-4:-2] - goal)) > 0.17:
            break
    qpos[-2:] = goal
    qvel = rng.uniform(-0.005, 0.005, model.nv)
    qvel[-4:] = 0.0
    return qpos, qvel


# ---- observations


def _rows(*parts: Floats) -> Floats:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], 1)


def _cheetah_obs(state: State) -> Floats:
    return _rows(state["qpos"][:, 1:], state["qvel"])


def _planar_walker_obs(state: State) -> Floats:
    return _rows(state["qpos"][:, 1:], np.clip(state["qvel"], -10, 10))


def clipped_contacts(state: State) -> Floats:
    """External forces on the bodies, (L, nbody, 6), clipped to [-1, 1] as in gymnasium's ant."""
    return np.clip(state["cfrc_ext"], -1.0, 1.0)


def _ant_obs(state: State) -> Floats:
    return _rows(state["qpos"][:, 2:], state["qvel"])


def _ant_obs_with_contacts(state: State) -> Floats:
    return _rows(state["qpos"][:, 2:], state["qvel"], clipped_contacts(state)[:, 1:])


def _ant_obs_with_position(state: State) -> Floats:
    return _rows(state["qpos"], state["qvel"])


def _humanoid_obs(state: State) -> Floats:
    return _rows(
        state["qpos"][:, 2:],
        state["qvel"],
        state["cinert"][:, 1:],
        state["cvel"][:, 1:],
        state["qfrc_actuator"][:, 6:],
        state["cfrc_ext"][:, 1:],
    )


FINGERTIP, TARGET = 3, 4
"""Bodies of the reacher."""


def _reacher_obs(state: State) -> Floats:
    """cos, sin and speed of both joints, and the fingertip's xy: gymnasium's without what tells the target."""
    angle = state["qpos"][:, :2]
    return _rows(np.cos(angle), np.sin(angle), state["qvel"][:, :2], state["xpos"][:, FINGERTIP, :2])


TIPS, OBJECT, GOAL = 10, 11, 12
"""Bodies of the pusher."""


def _pusher_obs(state: State) -> Floats:
    """Joints, their speeds, hand and object: gymnasium's without the goal."""
    return _rows(state["qpos"][:, :7], state["qvel"][:, :7], state["xpos"][:, [TIPS, OBJECT]])


# ---- ends


def _ant_fallen(state: State) -> NDArray[np.bool_]:
    z = state["qpos"][:, 2]
    finite = np.isfinite(state["qpos"]).all(-1) & np.isfinite(state["qvel"]).all(-1)
    return ~(finite & (z >= 0.2) & (z <= 1.0))


def _humanoid_fallen(state: State) -> NDArray[np.bool_]:
    z = state["qpos"][:, 2]
    return ~((z > 1.0) & (z < 2.0))


def _walker_fallen(state: State) -> NDArray[np.bool_]:
    z, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    return ~((z > 0.8) & (z < 2.0) & (angle > -1.0) & (angle < 1.0))


def _hopper_fallen(state: State) -> NDArray[np.bool_]:
    z, angle = state["qpos"][:, 1], state["qpos"][:, 2]
    bounded = (np.abs(state["qpos"][:, 2:]) < 100).all(-1) & (np.abs(state["qvel"]) < 100).all(-1)
    return ~(bounded & (z > 0.7) & (angle > -0.2) & (angle < 0.2))


# ---- the robots

CHEETAH = Robot(
    gym_id="HalfCheetah-v5",
    gym_kwargs={},
    xml="half_cheetah.xml",
    frame_skip=5,
    obs_dim=17,
    start=_noise_normal(0.1),
    observe=_cheetah_obs,
)
ANT = Robot(
    gym_id="Ant-v5",
    gym_kwargs={"include_cfrc_ext_in_observation": False},
    xml="ant.xml",
    frame_skip=5,
    obs_dim=27,
    start=_noise_normal(0.1),
    observe=_ant_obs,
    fallen=_ant_fallen,
    fields=("qpos", "qvel", "xpos", "cfrc_ext"),
)
ANT_FEELING_CONTACTS = Robot(
    gym_id="Ant-v5",
    gym_kwargs={},
    xml="ant.xml",
    frame_skip=5,
    obs_dim=105,
    start=_noise_normal(0.1),
    observe=_ant_obs_with_contacts,
    fallen=_ant_fallen,
    fields=("qpos", "qvel", "xpos", "cfrc_ext"),
)
ANT_KNOWING_ITS_POSITION = Robot(
    gym_id="Ant-v5",
    gym_kwargs={
        "include_cfrc_ext_in_observation": False,
        "exclude_current_positions_from_observation": False,
        "terminate_when_unhealthy": False,
    },
    xml="ant.xml",
    frame_skip=5,
    obs_dim=29,
    start=_noise_normal(0.1),
    observe=_ant_obs_with_position,
    fields=("qpos", "qvel", "xpos", "cfrc_ext"),
)
HUMANOID = Robot(
    gym_id="Humanoid-v5",
    gym_kwargs={},
    xml="humanoid.xml",
    frame_skip=5,
    obs_dim=348,
    start=_noise_uniform(0.01),
    observe=_humanoid_obs,
    fallen=_humanoid_fallen,
    fields=("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext", "xipos"),
)
WALKER = Robot(
    gym_id="Walker2d-v5",
    gym_kwargs={},
    xml="walker2d_v5.xml",
    frame_skip=4,
    obs_dim=17,
    start=_noise_uniform(0.005),
    observe=_planar_walker_obs,
    fallen=_walker_fallen,
)
HOPPER = Robot(
    gym_id="Hopper-v5",
    gym_kwargs={},
    xml="hopper.xml",
    frame_skip=4,
    obs_dim=11,
    start=_noise_uniform(0.005),
    observe=_planar_walker_obs,
    fallen=_hopper_fallen,
)
REACHER = Robot(
    gym_id="Reacher-v5",
    gym_kwargs={},
    xml="reacher.xml",
    frame_skip=2,
    obs_dim=8,
    start=_reacher_start,
    observe=_reacher_obs,
    fields=("qpos", "qvel", "xpos"),
    own_start=True,
)
PUSHER = Robot(
    gym_id="Pusher-v5",
    gym_kwargs={},
    xml="pusher_v5.xml",
    frame_skip=5,
    obs_dim=20,
    start=_pusher_start,
    observe=_pusher_obs,
    fields=("qpos", "qvel", "xpos"),
    own_start=True,
)
