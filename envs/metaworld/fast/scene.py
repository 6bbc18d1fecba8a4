"""Readers: what a task looks at in one MjData, looked up by name once.

Meta-World looks up every body, site and geom by name at every step, which costs more than the physics. A
reader is the `tolist` of a view kept into an MjData array: it reads the present value, in about 0.1 µs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metarl.envs.metaworld.fast.rotation import quaternion_xyzw
from metarl.envs.mujoco_calls import MjData, MjModel

Reader = Callable[[], list[float]]


def constant(*values: float) -> Reader:
    """A reader of values that never change."""
    kept = list(values)
    return lambda: kept


def shifted(read: Reader, dx: float, dy: float, dz: float) -> Reader:
    """A position reader moved by a fixed offset, metres."""

    def read_shifted() -> list[float]:
        x, y, z = read()
        return [x + dx, y + dy, z + dz]

    return read_shifted


def _rotation(xmat: np.ndarray) -> Reader:
    read = xmat.tolist
    return lambda: quaternion_xyzw(read())


class Scene:
    """The named parts of one MjData of a Sawyer model."""

    def __init__(self, model: MjModel, data: MjData) -> None:
        self.model = model
        self.data = data
        self.hand = self.body("hand")
        self.right_claw = self.body("rightclaw")
        self.left_claw = self.body("leftclaw")
        self.left_pad = self.body("leftpad")
        self.right_pad = self.body("rightpad")
        self._right_tip = self.site("rightEndEffector")
        self._left_tip = self.site("leftEndEffector")
        self._pad_geoms = (model.geom("leftpad_geom").id, model.geom("rightpad_geom").id)

    def body(self, name: str) -> Reader:
        """World position (3,) of a body frame, metres."""
        return self.data.xpos[self.model.body(name).id].tolist

    def site(self, name: str) -> Reader:
        """World position (3,) of a site, metres."""
        return self.data.site_xpos[self.model.site(name).id].tolist

    def geom(self, name: str) -> Reader:
        """World position (3,) of a geom, metres."""
        return self.data.geom_xpos[self.model.geom(name).id].tolist

    def body_quat_wxyz(self, name: str) -> Reader:
        """MuJoCo's quaternion (w, x, y, z) of a body: some tasks observe this order, others the next."""
        return self.data.xquat[self.model.body(name).id].tolist

    def body_quat_xyzw(self, name: str) -> Reader:
        """Quaternion (x, y, z, w) of a body's rotation matrix."""
        return _rotation(self.data.xmat[self.model.body(name).id])

    def geom_quat_xyzw(self, name: str) -> Reader:
        """Quaternion (x, y, z, w) of a geom's rotation matrix."""
        return _rotation(self.data.geom_xmat[self.model.geom(name).id])

    def site_quat_xyzw(self, name: str) -> Reader:
        """Quaternion (x, y, z, w) of a site's rotation matrix."""
        return _rotation(self.data.site_xmat[self.model.site(name).id])

    def joint(self, name: str) -> Callable[[], float]:
        """Position of a hinge (radians) or slide (metres)."""
        address = int(self.model.joint(name).qposadr[0])
        return self.data.qpos[address : address + 1].item

    def tcp(self) -> tuple[float, float, float]:
        """The point between the two finger tips, metres."""
        rx, ry, rz = self._right_tip()
        lx, ly, lz = self._left_tip()
        return (rx + lx) / 2.0, (ry + ly) / 2.0, (rz + lz) / 2.0

    def pressing(self, name: str) -> Callable[[], bool]:
        """Whether both finger pads press on a geom: the summed normal force of each is > 0."""
        geom_id = self.model.geom(name).id
        return lambda: self._pads_press(geom_id)

    def _pads_press(self, geom_id: int) -> bool:
        pressed = [0.0, 0.0]
        forces = self.data.efc_force
        pairs = self.data.contact.geom.tolist()
        addresses = self.data.contact.efc_address.tolist()
        for (first, second), address in zip(pairs, addresses, strict=True):
            for side, pad in enumerate(self._pad_geoms):
                if (first == pad and second == geom_id) or (second == pad and first == geom_id):
                    # an inactive contact has address -1, and Meta-World then reads the last force: kept
                    pressed[side] += float(forces[address])
        return pressed[0] > 0 and pressed[1] > 0
