"""Walker2d and Hopper whose bodies differ from task to task; the reward is the same: walk.

Every entry of body_mass, body_inertia and geom_friction is multiplied by a factor of its own, 1.5^U[-3, 3], and of
dof_damping by 1.3^U[-3, 3] (Rothfuss et al. 2018; dennisl88/rand_param_envs, base.py, log_scale_limit 3).

reward = v - 0.001 |a|^2 + 1, v the root's speed. Fallen: walker outside 0.8 to 2.0 m or +-1 rad; hopper under 0.7 m,
beyond +-0.2 rad, or with any coordinate or speed beyond 100. Horizon 200, 40 fixed tasks to train on and 10 to test
(Rakelly et al. 2019, walker_rand_params.json). What MuJoCo derives from masses (inverse weights) is made anew with
them; the original code left it as it was.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from metarl.envs.mujoco_v5.family import Family, Floats, Moved, Params, control_cost, root_x
from metarl.envs.mujoco_v5.robots import HOPPER, WALKER, Robot

BASES = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}
LOG_SCALE_LIMIT = 3.0


def draw_scales(robot: Robot, rng: np.random.Generator) -> dict[str, Any]:
    """Factors on a robot's masses, inertias, damping and friction, by the model's field (PEARL's `rand_params`)."""
    return {
        field: (base ** rng.uniform(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT, getattr(robot.model, field).shape)).tolist()
        for field, base in BASES.items()
    }


def walk(moved: Moved) -> Floats:
    """(L,) reward of a robot of changed body: the speed forwards, a cost of control, and 1 for being up."""
    return moved.velocity[:, 0] - 0.001 * control_cost(moved) + 1.0


def _digest(params: Params) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:8]


def _family(summary: str, robot: Robot) -> Family:
    return Family(
        summary=summary,
        parameters="factors 1.5^U[-3, 3] of mass, inertia and friction, 1.3^U[-3, 3] of damping",
        source="Rothfuss et al. 2018 and Rakelly et al. 2019; code dennisl88/rand_param_envs",
        robot=robot,
        horizon_steps=200,
        draw=draw_scales,
        name_of=_digest,
        rewards=walk,
        scales=lambda params: {field: params[field] for field in BASES},
        position=root_x,
        num_train_tasks=40,
        num_test_tasks=10,
    )


CHANGED_BODY_FAMILIES = {
    "walker-params-v0": _family("Walker2d with another body", WALKER),
    "hopper-params-v0": _family("Hopper with another body", HOPPER),
}
