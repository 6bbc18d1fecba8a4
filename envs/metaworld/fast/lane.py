"""One episode in progress on a shared model: the stepping loop without Meta-World's Python."""

from __future__ import annotations

import math
import struct

import numpy as np

from metarl.envs.metaworld.fast.model import SawyerModel
from metarl.envs.metaworld.fast.placement import Placement
from metarl.envs.metaworld.fast.task import INFO_FIELDS
from metarl.envs.metaworld.fast.workspace import Workspace
from metarl.envs.mujoco_calls import MjData, mj_forward, mj_step

HORIZON = 500
OBS_SIZE = 39
FRAME_SIZE = 18
"""An observation is the present frame, the previous frame and the goal (18 + 18 + 3)."""

_FLOAT32 = np.dtype(np.float32)
_HAND_LOW = (-0.525, 0.348, -0.0525)
_HAND_HIGH = (0.525, 1.025, 0.7)
"""Bounds of the observed hand, metres. Of all that Meta-World clips, only hand and goal can be outside."""


def _clip(x: float, low: float, high: float) -> float:
    return low if x < low else high if x > high else x


class SawyerLane:
    """Steps one episode at a time; several lanes of one model may be stepped in any order."""

    HORIZON = HORIZON

    def __init__(self, shared: SawyerModel) -> None:
        self.shared = shared
        # the v1 rewards are Meta-World's own functions and keep state in their env: each lane has one
        self._stage = shared.stage.beside() if shared.reward_version == "v1" else None
        env = None if self._stage is None else self._stage.env
        self._workspace = shared.workspace if env is None else Workspace(env.model, env.data)
        self._state = np.empty(0)
        self.scene = self._workspace.scene
        self.task = shared.task_class(self.scene)
        self._mocap = self._workspace.data.mocap_pos[0]
        self._ctrl = self._workspace.data.ctrl
        self._obs = np.zeros(OBS_SIZE)
        self._frame, self._previous_frame = self._obs[:FRAME_SIZE], self._obs[FRAME_SIZE : 2 * FRAME_SIZE]
        self._write_frame = {size: struct.Struct(f"{size}d").pack_into for size in (11, 18)}
        self._placement: Placement | None = None
        self._outcome: tuple[float, ...] = ()
        self._info_v1: dict[str, float] = {}
        self.num_steps = HORIZON

    def reset(self, rand_vec: np.ndarray) -> np.ndarray:
        """Start an episode at `rand_vec` (Meta-World's object and goal positions); its observation (39,)."""
        shared = self.shared
        self._placement = None  # a refused rand_vec ends the old episode too
        self._placement = placement = shared.place(rand_vec, stage=self._stage)
        self._state = placement.state.copy()
        if self._stage is None:
            self.task.begin(placement.facts)
        self.num_steps = 0
        self._outcome, self._info_v1 = (), {}
        self._obs[:] = placement.first_obs
        np.clip(self._obs[:3], _HAND_LOW, _HAND_HIGH, out=self._obs[:3])
        self._obs[2 * FRAME_SIZE :] = placement.goal
        return placement.first_obs.copy()

    @property
    def data(self) -> MjData:
        """The episode's physics, until another lane of the model is stepped."""
        self._read()
        return self._workspace.data

    @property
    def truncated(self) -> bool:
        """Whether the episode has had its last step."""
        return self.num_steps >= HORIZON

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """(observation (39,), reward, success) after 5 substeps under a float32 action (4,).

        The observation is one buffer, overwritten by the next step: copy it to keep it.
        """
        shared, placement = self.shared, self._placement
        if placement is None or self.num_steps >= HORIZON:
            raise ValueError(f"{shared.env_name} is not in an episode ({HORIZON} steps at most); call reset")
        workspace = self._workspace
        workspace.enter(self._state)
        effort = self._move_hand(action)
        model, data = shared.model, workspace.data
        shared.show(placement)
        mj_step(model, data, shared.frame_skip)
        # no mj_rnePostConstraint (gymnasium's do_simulation): nothing reads the forces that it computes.
        # no re-placing of goal sites either: mj_forward overwrites them before anything reads them.
        mj_forward(model, data)
        self.num_steps += 1
        frame = self._observe()
        if self._stage is not None:
            reward, self._info_v1 = self._stage.env.evaluate_state(self._obs.copy(), action)
            return self._obs, float(reward), bool(self._info_v1["success"])
        self._outcome = outcome = self.task.evaluate(frame, effort)
        return self._obs, float(outcome[0]), outcome[1]

    def info(self) -> dict[str, float]:
        """Meta-World's info of the last step; contacts are looked at only here."""
        if self._placement is None or self.num_steps == 0:
            raise ValueError(f"{self.shared.env_name} has no info before the first step; call step first")
        if self._stage is not None:
            return {name: float(self._info_v1[name]) for name in INFO_FIELDS}
        info = {name: float(value) for name, value in zip(INFO_FIELDS, self._outcome, strict=True)}
        pressing = self.task.pressing
        if pressing is not None and info["grasp_success"]:
            self._read()
            info["grasp_success"] = float(pressing())
        return info

    def _read(self) -> None:
        """Make what the workspace holds this episode's, with all that MuJoCo derives from a state."""
        if self._placement is None:
            raise ValueError(f"{self.shared.env_name} is not in an episode; call reset")
        self.shared.show(self._placement)
        self._workspace.enter_to_read(self._state)

    def _move_hand(self, action: np.ndarray) -> np.float32:
        """Write the action into mocap position and gripper control; returns the gripper's entry."""
        shared = self.shared
        if action.dtype != _FLOAT32 or action.shape != (4,):
            raise ValueError(
                f"action of {shared.env_name} at step {self.num_steps} is {action.dtype} {action.shape}, "
                "must be float32 (4,): Meta-World computes in its dtype, so that is part of the dynamics"
            )
        # in float32, then added to the float64 position
        dx, dy, dz, _ = (action * shared.action_scale).tolist()
        effort = action[3]
        gripper = float(effort)
        if not math.isfinite(dx + dy + dz + gripper):
            raise ValueError(
                f"action of {shared.env_name} at step {self.num_steps} is {action.tolist()}: not finite; "
                "look at the policy (Meta-World would go on silently)"
            )
        limit = shared.move_limit
        mocap, low, high = self._mocap, shared.mocap_low, shared.mocap_high
        x, y, z = mocap.tolist()
        mocap[0] = _clip(x + _clip(dx, -limit, limit), low[0], high[0])
        mocap[1] = _clip(y + _clip(dy, -limit, limit), low[1], high[1])
        mocap[2] = _clip(z + _clip(dz, -limit, limit), low[2], high[2])
        # MuJoCo clips the control to [-1, 1] itself
        self._ctrl[0] = gripper
        self._ctrl[1] = -gripper
        return effort

    def _observe(self) -> list[float]:
        """Shift the frames of the observation and write the new one; returns it as floats."""
        scene = self.scene
        x, y, z = scene.hand()
        a, b, c = scene.right_claw()
        u, v, w = scene.left_claw()
        a -= u
        b -= v
        c -= w
        opening = math.sqrt(a * a + b * b + c * c) / 0.1  # fingers part by 0.1 m, give or take 0.5 mm
        low, high = _HAND_LOW, _HAND_HIGH
        frame = [
            _clip(x, low[0], high[0]),
            _clip(y, low[1], high[1]),
            _clip(z, low[2], high[2]),
            1.0 if opening > 1.0 else opening,
            *self.task.objects(),
        ]
        self._previous_frame[:] = self._frame
        self._write_frame[len(frame)](self._obs.data, 0, *frame)
        return frame
