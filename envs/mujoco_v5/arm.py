"""Two arms of gymnasium's set with a drawn goal that the observation hides; tasks are ours, rewards gymnasium's.

    reacher  -|fingertip - goal| - |a|^2                          goal uniform in a disc of 0.2 m, horizon 50
    pusher   -|object - goal| - 0.5 |object - hand| - 0.1 |u|^2   goal U[-0.1, 0.1]^2 m about gymnasium's, horizon 100

In gymnasium the reacher's target is new in each episode and shown, and the pusher's goal is fixed and shown. Success:
the fingertip within 0.02 m, the object within 0.05 m. Pusher actions in [-1, 1] are scaled to its +-2 N m, u.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_v5.family import Family, Floats, Moved, Params, control_cost, draw_in_disc, draw_in_square
from metarl.envs.mujoco_v5.robots import FINGERTIP, GOAL, OBJECT, PUSHER, REACHER, TARGET, TIPS, State
from metarl.envs.view import View


def _distance(state: State, a: int, b: int) -> Floats:
    return np.linalg.norm(state["xpos"][:, a] - state["xpos"][:, b], axis=-1)


def reach(moved: Moved) -> Floats:
    """(L,) reward of the Reacher: minus the fingertip's distance to the target, less a cost of control."""
    return -_distance(moved.state, FINGERTIP, TARGET) - control_cost(moved)


def reached(moved: Moved) -> NDArray[np.bool_]:
    """(L,) bool: the fingertip is within 2 cm of the target."""
    return _distance(moved.state, FINGERTIP, TARGET) < 0.02


def push(moved: Moved) -> Floats:
    """(L,) reward of the Pusher: minus the object's distance to its goal and half of the hand's to it, less control."""
    near = _distance(moved.state, OBJECT, TIPS)
    return -_distance(moved.state, OBJECT, GOAL) - 0.5 * near - 0.1 * control_cost(moved)


def pushed(moved: Moved) -> NDArray[np.bool_]:
    """(L,) bool: the object is within 5 cm of its goal."""
    return _distance(moved.state, OBJECT, GOAL) < 0.05


def _name_of(params: Params) -> str:
    return "{:+.6f},{:+.6f}".format(*params["goal"])


def _fingertip(state: State) -> Floats:
    return state["xpos"][:, FINGERTIP, :2]


def _object(state: State) -> Floats:
    return state["xpos"][:, OBJECT, :2]


ARM_FAMILIES = {
    "reacher-goal-v0": Family(
        summary="a two-joint arm reaches a hidden goal",
        parameters="goal uniform in a disc of radius 0.2 m",
        source="ours, on gymnasium's Reacher-v5",
        robot=REACHER,
        horizon_steps=50,
        draw=draw_in_disc(0.2),
        name_of=_name_of,
        rewards=reach,
        succeeded=reached,
        position=_fingertip,
        view=View(lookat=(0.0, 0.0, 0.0), distance=0.75, azimuth=90.0, elevation=-75.0),
    ),
    "pusher-goal-v0": Family(
        summary="a seven-joint arm pushes an object to a hidden goal",
        parameters="goal U[-0.1, 0.1]^2 m",
        source="ours, on gymnasium's Pusher-v5",
        robot=PUSHER,
        horizon_steps=100,
        draw=draw_in_square(0.1),
        name_of=_name_of,
        rewards=push,
        succeeded=pushed,
        position=_object,
        view=View(lookat=(0.3, -0.2, -0.2), distance=1.8, azimuth=110.0, elevation=-40.0),
    ),
}
