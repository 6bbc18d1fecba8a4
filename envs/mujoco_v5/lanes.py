"""Many episodes of one family in lockstep: one MjData each, one model for all tasks with the same body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_calls import MjData, MjModel, make_data, mj_forward, mj_step
from metarl.envs.mujoco_v5.family import Family, Moved
from metarl.envs.mujoco_v5.physics import changed_model, mj_contact_forces, mj_reset_data
from metarl.envs.mujoco_v5.robots import Floats, State
from metarl.errors import EnvFault
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import EnvStep, Lanes, params_key
from metarl.types import Task


class RobotLanes:
    """A BatchEnv. A step is one physics call a lane; all else is NumPy over the lanes' rows."""

    def __init__(self, family: Family, num_lanes: int) -> None:
        self._family, self._robot = family, family.robot
        model = self._robot.model
        self._fields = (*self._robot.fields, *family.also_reads)
        self._reads_contacts = "cfrc_ext" in self._fields
        self._low, high = model.actuator_ctrlrange.T.copy()
        self._half_range = (high - self._low) / 2
        self._models: list[MjModel] = [model] * num_lanes
        self._bodies: dict[str, MjModel] = {}
        self._data: list[MjData | None] = [None] * num_lanes
        # the fields of each lane's MjData, by name: NumPy views of its memory
        self._views: dict[str, list[NDArray]] = {field: [np.zeros(0)] * num_lanes for field in self._fields}
        self._shapes = {field: getattr(make_data(model), field).shape for field in self._fields}
        self._ctrl: list[NDArray] = [np.zeros(0)] * num_lanes
        nothing = {field: np.zeros((1, *shape)) for field, shape in self._shapes.items()}
        self._position = np.zeros((num_lanes, family.position(nothing).shape[1]))
        self._goal: Floats | None = None
        self._now: list[tuple[Task, SeedKey]] = [(Task("none", {}), ())] * num_lanes
        self._num_steps = np.zeros(num_lanes, np.intp)

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        for lane, task, seed in zip(lanes.tolist(), tasks, seeds, strict=True):
            self._now[lane] = (task, seed)
            try:
                goal = self._family.goal(task.params)
                if self._goal is None:
                    self._goal = np.zeros((len(self._data), len(goal)))
                self._goal[lane] = goal
                self._begin(lane, task, seed)
            except Exception as error:
                raise EnvFault(task.id, seed, 0, error) from error
        self._num_steps[lanes] = 0
        state = self._state(lanes)
        self._position[lanes] = self._family.position(state)
        return self._robot.observe(state)

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        """Actions in [-1, 1], clipped, mean the actuators' whole range."""
        controls = self._low + (np.clip(actions, -1.0, 1.0).astype(np.float64) + 1.0) * self._half_range
        models, data, ctrl = self._models, self._data, self._ctrl
        frame_skip, reads_contacts = self._robot.frame_skip, self._reads_contacts
        for lane, control in zip(lanes.tolist(), controls, strict=True):
            ctrl[lane][:] = control
            mj_step(models[lane], data[lane], frame_skip)
            if reads_contacts:
                mj_contact_forces(models[lane], data[lane])
        self._num_steps[lanes] += 1
        return self._outcome(lanes, controls)

    def _outcome(self, lanes: Lanes, controls: Floats) -> EnvStep:
        family, state = self._family, self._state(lanes)
        position = family.position(state)
        assert self._goal is not None, "a lane is reset before it is stepped"
        moved = Moved(state, (position - self._position[lanes]) / self._robot.dt, controls, self._goal[lanes])
        self._position[lanes] = position
        no = np.zeros(len(lanes), bool)
        return EnvStep(
            self._robot.observe(state),
            family.rewards(moved),
            self._robot.fallen(state) if self._robot.fallen is not None else no,
            self._num_steps[lanes] >= family.horizon_steps,
            family.succeeded(moved) if family.succeeded is not None else no,
        )

    @property
    def frame_skip(self) -> int:
        return self._robot.frame_skip

    def simulations(self) -> list[tuple[MjModel, MjData]]:
        """Model and data of each lane that has been reset: what a bench steps to know the physics' own rate."""
        return [(model, data) for model, data in zip(self._models, self._data, strict=True) if data is not None]

    def close(self) -> None:
        self._data = [None] * len(self._data)
        for views in self._views.values():
            views[:] = [np.zeros(0)] * len(views)
        self._bodies = {}

    def _begin(self, lane: int, task: Task, seed: SeedKey) -> None:
        self._models[lane] = model = self._body_of(task)
        data = self._data[lane]
        if data is None:
            self._data[lane] = data = make_data(model)
            self._ctrl[lane] = data.ctrl
            for field, views in self._views.items():
                views[lane] = getattr(data, field)
        mj_reset_data(model, data)
        data.qpos[:], data.qvel[:] = self._robot.start(model, numpy_rng(seed), task.params)
        mj_forward(model, data)

    def _body_of(self, task: Task) -> MjModel:
        """The task's model; changed bodies are kept while there are no more of them than lanes."""
        scales = self._family.scales(task.params)
        if not scales:
            return self._robot.model
        key = params_key(task)
        if key not in self._bodies:
            if len(self._bodies) >= len(self._data):
                self._bodies.clear()
            self._bodies[key] = changed_model(self._robot.model, scales)
        return self._bodies[key]

    def _state(self, lanes: Lanes) -> State:
        """Copies, (L, ...) each: one call gathers a field of all lanes, at a fifth of what a copy each would take."""
        chosen = lanes.tolist()
        return {
            field: np.concatenate([views[lane] for lane in chosen]).reshape(len(chosen), *self._shapes[field])
            for field, views in self._views.items()
        }
