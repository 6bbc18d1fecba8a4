"""What a family of robot tasks is: a robot, a drawn goal or body, and the paper's reward as a function of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_v5.robots import Floats, Robot, State
from metarl.envs.view import View

Params = Mapping[str, Any]
"""A task's parameters as JSON values."""


class Moved(NamedTuple):
    """What a step did, one row an episode."""

    state: State
    velocity: Floats
    """(L, k) of `Family.position`, metres a second over the step."""
    controls: Floats
    """(L, nu) as applied: clipped, and scaled to the actuators' range."""
    goal: Floats
    """(L, g): the task's `Family.goal`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Everything that tells one family from another; its name and version are its key in `FAMILIES`."""

    summary: str
    """What a task is, in a line."""
    parameters: str
    """What is drawn, from which range."""
    source: str
    """Paper, and the code that the reward was read from."""
    robot: Robot
    horizon_steps: int
    draw: Callable[[Robot, np.random.Generator], dict[str, Any]]
    """The parameters of one task."""
    name_of: Callable[[Params], str]
    """Tells tasks apart in an id."""
    rewards: Callable[[Moved], Floats]
    """(L,) of a step."""
    position: Callable[[State], Floats]
    """(L, k): what the velocity is the change of."""
    goal: Callable[[Params], list[float]] = lambda params: []
    scales: Callable[[Params], Mapping[str, Any]] = lambda params: {}
    """Factors for fields of the MuJoCo model; empty where the body is the same in all tasks."""
    succeeded: Callable[[Moved], NDArray[np.bool_]] | None = None
    """(L,) bool; None where the paper has no notion of success."""
    also_reads: tuple[str, ...] = ()
    """Fields of MjData beyond the robot's own."""
    all_params: tuple[Params, ...] = ()
    """Where there are but a few tasks: they are trained on and tested on, as in the papers."""
    num_train_tasks: int | None = None
    """Meta-training draws from so many fixed tasks; None: each task is a new draw."""
    num_test_tasks: int = 40
    view: View | None = None
    """In pictures; None: the camera that follows the robot."""
    ball_radius: float = 0.0
    """Metres, in pictures: of the ball that stands on a goal (x, y) which the model itself does not show; 0: none."""

    @property
    def split(self) -> str:
        if self.all_params:
            return f"the same {len(self.all_params)} tasks to train and to test on, as in the paper"
        train = f"{self.num_train_tasks} fixed tasks" if self.num_train_tasks else "a new draw each time"
        return f"train {train}, test {self.num_test_tasks} others"


def control_cost(moved: Moved) -> Floats:
    """Sum of squared controls, (L,)."""
    return np.square(moved.controls).sum(-1)


def root_x(state: State) -> Floats:
    """(L, 1), exact: a joint coordinate."""
    return state["qpos"][:, :1]


def torso_xy(state: State) -> Floats:
    """(L, 2) of body 1."""
    return state["xpos"][:, 1, :2]


def com_x(state: State) -> Floats:
    """(L, 1) of the centre of mass of body 1 and all that hangs on it."""
    return state["subtree_com"][:, 1, :1]


def one_number(key: str) -> Callable[[Params], list[float]]:
    """What a family shows of its tasks where they differ in one number."""
    return lambda params: [params[key]]


def heading(params: Params) -> list[float]:
    """Unit vector of an angle in radians."""
    return [float(np.cos(params["angle"])), float(np.sin(params["angle"]))]


def draw_angle(robot: Robot, rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of a task whose goal lies at any angle, in radians."""
    return {"angle": float(rng.uniform(0.0, 2 * np.pi))}


def angle_name(params: Params) -> str:
    """The id of a task by its angle, in degrees."""
    return f"{np.degrees(params['angle']):.4f}deg"


def draw_direction(robot: Robot, rng: np.random.Generator) -> dict[str, Any]:
    """Parameters of a task that asks for forwards, 1, or backwards, -1."""
    return {"direction": float(rng.choice((-1.0, 1.0)))}


def direction_name(params: Params) -> str:
    """The id of a task by its direction."""
    return "forward" if params["direction"] > 0 else "backward"


BACKWARD_AND_FORWARD: tuple[Params, ...] = ({"direction": -1.0}, {"direction": 1.0})


def draw_in_square(half: float) -> Callable[[Robot, np.random.Generator], dict[str, Any]]:
    """A place in U[-half, half]^2, metres."""

    def draw(robot: Robot, rng: np.random.Generator) -> dict[str, Any]:
        return {"goal": rng.uniform(-half, half, 2).tolist()}

    return draw


def draw_in_disc(most: float) -> Callable[[Robot, np.random.Generator], dict[str, Any]]:
    """A place, uniform in the disc of radius `most`, metres."""

    def draw(robot: Robot, rng: np.random.Generator) -> dict[str, Any]:
        angle, radius = rng.uniform(0, 2 * np.pi), most * np.sqrt(rng.random())
        return {"goal": [float(radius * np.cos(angle)), float(radius * np.sin(angle))]}

    return draw


def draw_velocity(low: float, high: float) -> Callable[[Robot, np.random.Generator], dict[str, Any]]:
    """A draw of task parameters with a speed between `low` and `high`, in m/s."""
    return lambda robot, rng: {"velocity": float(rng.uniform(low, high))}


def velocity_name(params: Params) -> str:
    """The id of a task by its speed."""
    return f"{params['velocity']:.6f}m/s"
