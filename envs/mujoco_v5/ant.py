"""Ant that walks in a direction, to a place, or at a speed that it is not told; horizon 200.

    contact = 0.0005 sum of clip(external forces on the bodies, -1, 1)^2

    dir-maml    d v_x - 0.005 |a|^2 - contact + 0.05              d = -1 backward, +1 forward
    dir-pearl   v . (cos g, sin g) - 0.5 |a|^2 - contact + 1      g in U[0, 2 pi): one of a whole circle of headings
    vel-maml    1 - |v_x - v*| - 0.005 |a|^2 - contact + 0.05     v* in U[0, 3] m/s
    goal-maml   4 - |p - g|_1 - 0.005 |a|^2 - contact + 0.05      g in U[-3, 3]^2 m
    goal-pearl  -|p - g|_1 - 0.1 |a|^2 - contact                  g uniform in a disc of 3 m; never terminated

v is the speed of the centre of mass (maml) or of the torso (pearl), p the torso's position (of its centre of mass in
goal-maml). The ant has fallen with its torso outside 0.2 to 1.0 m. All on Ant-v5 and its gear of 150 (oyster also has
a low-gear model). Observations: dir-maml and vel-maml with contact forces, as gymnasium's own default; the others
without, where both originals' goal tasks have them. The goal families add the position, because a place cannot be found
without knowing where one is.
Sources: Finn et al. 2017 (cbfinn/maml_rl, ant_env_rand*.py), Rakelly et al. 2019 (katerakelly/oyster, ant_*.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from metarl.envs.mujoco_v5.cheetah import MAML, PEARL
from metarl.envs.mujoco_v5.family import (
    BACKWARD_AND_FORWARD,
    Family,
    Floats,
    Moved,
    Params,
    angle_name,
    com_x,
    control_cost,
    direction_name,
    draw_angle,
    draw_direction,
    draw_in_disc,
    draw_in_square,
    draw_velocity,
    heading,
    one_number,
    torso_xy,
    velocity_name,
)
from metarl.envs.mujoco_v5.robots import ANT, ANT_FEELING_CONTACTS, ANT_KNOWING_ITS_POSITION, Robot, clipped_contacts
from metarl.envs.view import View


def contact_cost(moved: Moved) -> Floats:
    """(L,): 0.0005 times the sum of the squared contact forces, each clipped to [-1, 1]."""
    return 0.0005 * np.square(clipped_contacts(moved.state)).sum((1, 2))


def _maml_costs(moved: Moved) -> Floats:
    return 0.05 - 0.005 * control_cost(moved) - contact_cost(moved)


def maml_direction(moved: Moved) -> Floats:
    """(L,) reward of MAML's ant: the speed forwards, or backwards, less its costs."""
    return moved.goal[:, 0] * moved.velocity[:, 0] + _maml_costs(moved)


def maml_velocity(moved: Moved) -> Floats:
    """(L,) reward of MAML's ant: how near its speed is to the task's, less its costs."""
    return 1.0 - abs(moved.velocity[:, 0] - moved.goal[:, 0]) + _maml_costs(moved)


def maml_goal(moved: Moved) -> Floats:
    """(L,) reward of MAML's ant: how near it is to the task's place, less its costs."""
    place = moved.state["subtree_com"][:, 1, :2]
    return 4.0 - abs(place - moved.goal).sum(-1) + _maml_costs(moved)


def pearl_direction(moved: Moved) -> Floats:
    """(L,) reward of PEARL's ant: the speed along the task's direction in the plane, less its costs."""
    along = (moved.velocity * moved.goal).sum(-1)
    return along - 0.5 * control_cost(moved) - contact_cost(moved) + 1.0


def pearl_goal(moved: Moved) -> Floats:
    """(L,) reward of PEARL's ant: minus the distance to the task's place, less its costs."""
    return -abs(torso_xy(moved.state) - moved.goal).sum(-1) - 0.1 * control_cost(moved) - contact_cost(moved)


def _place(params: Params) -> list[float]:
    return list(params["goal"])


def _place_name(params: Params) -> str:
    return "{:+.4f},{:+.4f}".format(*params["goal"])


def _goal_family(
    source: str, parameters: str, draw: Callable[[Robot, np.random.Generator], dict[str, Any]], **changes: Any
) -> Family:
    return Family(
        summary="Ant walks to a place",
        parameters=parameters,
        source=source,
        robot=ANT_KNOWING_ITS_POSITION,
        horizon_steps=200,
        draw=draw,
        name_of=_place_name,
        goal=_place,
        position=torso_xy,
        view=View(lookat=(0.0, 0.0, 0.0), distance=9.0, azimuth=90.0, elevation=-50.0),
        ball_radius=0.3,
        **changes,
    )


_ANT_WITH_POSITION_AND_END = dataclasses.replace(
    ANT_KNOWING_ITS_POSITION,
    gym_kwargs={**ANT_KNOWING_ITS_POSITION.gym_kwargs, "terminate_when_unhealthy": True},
    fallen=ANT.fallen,
)

ANT_FAMILIES = {
    "ant-dir-maml-v0": Family(
        summary="Ant walks forward or backward",
        parameters="direction -1 or +1",
        source=MAML,
        robot=ANT_FEELING_CONTACTS,
        horizon_steps=200,
        draw=draw_direction,
        name_of=direction_name,
        rewards=maml_direction,
        goal=one_number("direction"),
        position=com_x,
        also_reads=("subtree_com",),
        all_params=BACKWARD_AND_FORWARD,
        num_test_tasks=2,
    ),
    "ant-dir-pearl-v0": Family(
        summary="Ant walks in a direction of the whole circle",
        parameters="angle U[0, 2 pi)",
        source=PEARL,
        robot=ANT,
        horizon_steps=200,
        draw=draw_angle,
        name_of=angle_name,
        rewards=pearl_direction,
        goal=heading,
        position=torso_xy,
        num_test_tasks=30,
    ),
    "ant-vel-maml-v0": Family(
        summary="Ant walks at a speed",
        parameters="velocity U[0, 3] m/s",
        source=MAML,
        robot=ANT_FEELING_CONTACTS,
        horizon_steps=200,
        draw=draw_velocity(0.0, 3.0),
        name_of=velocity_name,
        rewards=maml_velocity,
        goal=one_number("velocity"),
        position=com_x,
        also_reads=("subtree_com",),
    ),
    "ant-goal-maml-v0": dataclasses.replace(
        _goal_family(MAML, "goal U[-3, 3]^2 m", draw_in_square(3.0), rewards=maml_goal, also_reads=("subtree_com",)),
        robot=_ANT_WITH_POSITION_AND_END,
    ),
    "ant-goal-pearl-v0": _goal_family(
        PEARL,
        "goal uniform in a disc of radius 3 m",
        draw_in_disc(3.0),
        rewards=pearl_goal,
        num_train_tasks=150,
        num_test_tasks=30,
    ),
}
