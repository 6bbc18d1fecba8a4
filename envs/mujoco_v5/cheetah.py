"""HalfCheetah that runs in a direction, or at a speed, that it is not told. Three papers, three definitions.

    direction  reward = d v - 0.05 |a|^2       d = -1 backward, +1 forward
    velocity   reward = -|v - v*| - 0.05 |a|^2

           v is the speed of    horizon   v* of `vel`
    maml   the centre of mass   200       U[0, 2]   Finn et al. 2017; cbfinn/maml_rl, half_cheetah_env_rand*.py
    promp  the root             100       U[0, 3]   Rothfuss et al. 2018; jonasrothfuss/ProMP, half_cheetah_rand_*.py
    pearl  the root             200       U[0, 3]   Rakelly et al. 2019; katerakelly/oyster; 100 fixed tasks, 30 to test

All on HalfCheetah-v5, whose step is 0.05 s, while the MAML code ran rllab's model with a step of 0.01 s and a torso
position in the observation: returns over the same number of steps cover five times as much time here.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.family import (
    BACKWARD_AND_FORWARD,
    Family,
    Floats,
    Moved,
    com_x,
    control_cost,
    direction_name,
    draw_direction,
    draw_velocity,
    one_number,
    root_x,
    velocity_name,
)
from metarl.envs.mujoco_v5.robots import CHEETAH

MAML = "Finn et al. 2017, section 5.3; code cbfinn/maml_rl"
PROMP = "Rothfuss et al. 2018; code jonasrothfuss/ProMP"
PEARL = "Rakelly et al. 2019; code katerakelly/oyster"


def along_direction(moved: Moved) -> Floats:
    """(L,) reward: the speed forwards or backwards, as the task says, less a cost of control."""
    return moved.goal[:, 0] * moved.velocity[:, 0] - 0.05 * control_cost(moved)


def at_velocity(moved: Moved) -> Floats:
    """(L,) reward: minus the difference from the task's speed, less a cost of control."""
    return -abs(moved.velocity[:, 0] - moved.goal[:, 0]) - 0.05 * control_cost(moved)


def _direction(source: str, *, horizon_steps: int, com: bool = False) -> Family:
    return Family(
        summary="HalfCheetah runs forward or backward",
        parameters="direction -1 or +1",
        source=source,
        robot=CHEETAH,
        horizon_steps=horizon_steps,
        draw=draw_direction,
        name_of=direction_name,
        rewards=along_direction,
        goal=one_number("direction"),
        position=com_x if com else root_x,
        also_reads=("subtree_com",) if com else (),
        all_params=BACKWARD_AND_FORWARD,
        num_test_tasks=2,
    )


def _velocity(
    source: str,
    *,
    horizon_steps: int,
    top: float,
    com: bool = False,
    num_train_tasks: int | None = None,
    num_test_tasks: int = 40,
) -> Family:
    return Family(
        summary="HalfCheetah runs at a speed",
        parameters=f"velocity U[0, {top:g}] m/s",
        source=source,
        robot=CHEETAH,
        horizon_steps=horizon_steps,
        draw=draw_velocity(0.0, top),
        name_of=velocity_name,
        rewards=at_velocity,
        goal=one_number("velocity"),
        position=com_x if com else root_x,
        also_reads=("subtree_com",) if com else (),
        num_train_tasks=num_train_tasks,
        num_test_tasks=num_test_tasks,
    )


CHEETAH_FAMILIES = {
    "cheetah-dir-maml-v0": _direction(MAML, horizon_steps=200, com=True),
    "cheetah-dir-promp-v0": _direction(PROMP, horizon_steps=100),
    "cheetah-dir-pearl-v0": _direction(PEARL, horizon_steps=200),
    "cheetah-vel-maml-v0": _velocity(MAML, horizon_steps=200, top=2.0, com=True),
    "cheetah-vel-promp-v0": _velocity(PROMP, horizon_steps=100, top=3.0),
    "cheetah-vel-pearl-v0": _velocity(PEARL, horizon_steps=200, top=3.0, num_train_tasks=100, num_test_tasks=30),
}
