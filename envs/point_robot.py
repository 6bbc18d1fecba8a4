"""A point that finds a goal on a half-circle: the navigation task of PEARL, made for exploring with sparse rewards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarl.envs.draw_path import draw_path
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import EnvStep, Lanes, check_like
from metarl.types import EnvSpec, Task
from metarl.validate import Checked, Count, Natural


@dataclass(frozen=True, kw_only=True)
class PointRobot(Checked):
    """Goals on the half-circle of radius 1 above the origin, where the point starts (Rakelly et al. 2019).

    obs: position (2,). action: a move (2,) in units of 0.1 a step, clipped to +-1. 20 steps, never terminated.
    reward: minus the distance to the goal; sparse: 1 minus the distance within 0.2 of it, and 0 elsewhere. Their code
    trains on the first and adapts to the second; here each is a distribution of its own. Success: within 0.2.

    This is their `sparse-point-robot`, with angles drawn anew in place of 100 fixed ones. What their code calls
    `point-robot` has goals and starts anywhere in the square [-1, 1]^2, and is not here.
    """

    sparse: bool = False
    num_test_tasks: Count = 20
    test_seed: Natural = 1337

    RADIUS = 1.0
    GOAL_RADIUS = 0.2
    MAX_MOVE = 0.1

    @property
    def name(self) -> str:
        return "point-robot-sparse" if self.sparse else "point-robot"

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(obs_dim=2, action_dim=2, horizon_steps=20, measures_success=True)

    def task(self, params: Mapping[str, float]) -> Task:
        """The task with these parameters, as `metarl adapt` and `play` take them. Raises ValueError for others."""
        check_like(params, {"angle": 0.0})
        return Task(f"{self.name}[{np.degrees(params['angle']):.5f}deg]", dict(params))

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return [self.task({"angle": angle}) for angle in rng.uniform(0.0, np.pi, num_tasks).tolist()]

    def meta_test(self) -> list[Task]:
        return self.sample(self.num_test_tasks, rng=numpy_rng((self.test_seed,)))

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode: the path so far, and the goal that the point is not told."""
        env, lane, angle = self.make_env(1), np.array([0]), task.params["angle"]
        path = [env.reset(lane, [task], [seed])[0].copy()]
        path += [env.step(lane, action[None]).obs[0].copy() for action in actions]
        goal = (float(np.cos(angle)), float(np.sin(angle)))
        return draw_path(np.array(path), goal, radius=self.GOAL_RADIUS, half_width=1.4, size=size, every=every)

    def make_env(self, num_lanes: int) -> PointRobotLanes:
        return PointRobotLanes(num_lanes, sparse=self.sparse)


class PointRobotLanes:
    """L points in the plane with a goal each."""

    def __init__(self, num_lanes: int, *, sparse: bool) -> None:
        self._sparse = sparse
        self._position = np.zeros((num_lanes, 2))
        self._goal = np.zeros((num_lanes, 2))

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        angles = np.array([task.params["angle"] for task in tasks])
        self._position[lanes] = 0.0
        self._goal[lanes] = PointRobot.RADIUS * np.column_stack([np.cos(angles), np.sin(angles)])
        return self._position[lanes]

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        self._position[lanes] += PointRobot.MAX_MOVE * np.clip(actions, -1, 1)
        obs = self._position[lanes]
        distance = np.hypot(*(obs - self._goal[lanes]).T)
        near = distance <= PointRobot.GOAL_RADIUS
        rewards = np.where(near, 1.0 - distance, 0.0) if self._sparse else -distance
        no = np.zeros_like(near)
        return EnvStep(obs, rewards, no, no, near)

    def close(self) -> None:
        pass
