"""Humanoid that walks in a direction that it is not told (Rakelly et al. 2019; katerakelly/oyster, humanoid_dir.py).

reward = 0.25 (p' - p) . (cos g, sin g) / timestep - 0.1 |u|^2 - min(5e-7 sum of contact forces^2, 10) + 5

p is the centre of mass; the timestep is the physics', a fifth of the step, so the first term is 1.25 times the
speed: gymnasium's forward weight. g in U[0, 2 pi), horizon 200, fallen outside 1.0 to 2.0 m. Actions in [-1, 1] are
scaled to the motors' +-0.4, and u is what the motors get.
"""

from __future__ import annotations

import numpy as np

from metarl.envs.mujoco_v5.cheetah import PEARL
from metarl.envs.mujoco_v5.family import Family, Floats, Moved, angle_name, control_cost, draw_angle, heading
from metarl.envs.mujoco_v5.robots import HUMANOID, State


def mass_center(state: State) -> Floats:
    """(L, 2)"""
    mass = HUMANOID.model.body_mass
    return (state["xipos"][:, :, :2] * mass[:, None]).sum(1) / mass.sum()


def pearl_direction(moved: Moved) -> Floats:
    """(L,) reward of PEARL's humanoid: the speed along the task's direction, less its costs, and 5 for being up."""
    along = (moved.velocity * moved.goal).sum(-1)
    impact = np.minimum(5e-7 * np.square(moved.state["cfrc_ext"]).sum((1, 2)), 10.0)
    return 0.25 * HUMANOID.frame_skip * along - 0.1 * control_cost(moved) - impact + 5.0


HUMANOID_FAMILIES = {
    "humanoid-dir-pearl-v0": Family(
        summary="Humanoid walks in a direction of the whole circle",
        parameters="angle U[0, 2 pi)",
        source=PEARL,
        robot=HUMANOID,
        horizon_steps=200,
        draw=draw_angle,
        name_of=angle_name,
        rewards=pearl_direction,
        goal=heading,
        position=mass_center,
        num_train_tasks=100,
        num_test_tasks=30,
    ),
}
