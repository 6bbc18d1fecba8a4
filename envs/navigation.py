"""2D navigation of the MAML paper: a point walks to a goal it is not told; also with sparse rewards, or in a wind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.envs.draw_path import draw_path
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import EnvStep, Lanes, check_like
from metarl.types import EnvSpec, Task
from metarl.validate import Checked, Count, Natural


@dataclass(frozen=True, kw_only=True)
class Navigation(Checked):
    """Goals uniform in the square [-0.5, 0.5]^2, the point starts at the origin (Finn et al. 2017, section 5.3).

    obs: position (2,). action: velocity (2,) in units of 0.1 a step, clipped to +-1. An episode is terminated
    with both coordinates within 0.01 of the goal, and truncated after 100 steps.

    reward: minus the distance to the goal. The paper says the squared distance, its code takes the distance, and
    only that agrees with its Table 4: standing at the origin for 100 steps costs 38 on average (17 if squared),
    and the table's unadapted policy has -40.41.

    variant, of our own: `sparse` gives 1 minus ten times the distance within 0.1 of the goal and 0 elsewhere; `wind`
    adds a hidden drift to each step, uniform in [-0.05, 0.05]^2 and fixed for the task: half the point's own speed.
    """

    name: str = "navigation"
    variant: Literal["dense", "sparse", "wind"] = "dense"
    num_test_tasks: Count = 200
    test_seed: Natural = 20170306
    """Held-out goals are drawn once, from this seed; meta-training goals are continuous draws."""

    HALF_WIDTH = 0.5
    MAX_SPEED = 0.1
    GOAL_HALF_WIDTH = 0.01
    SPARSE_RADIUS = 0.1
    MAX_WIND = 0.05

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(obs_dim=2, action_dim=2, horizon_steps=100, measures_success=True)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        goals = rng.uniform(-self.HALF_WIDTH, self.HALF_WIDTH, (num_tasks, 2)).tolist()
        if self.variant != "wind":
            return [self.task({"goal": goal}) for goal in goals]
        winds = rng.uniform(-self.MAX_WIND, self.MAX_WIND, (num_tasks, 2)).tolist()
        return [self.task({"goal": goal, "wind": wind}) for goal, wind in zip(goals, winds, strict=True)]

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task with these parameters, as `metarl adapt` and `play` take them. Raises ValueError for others."""
        check_like(params, {"goal": [0.0, 0.0]} | ({"wind": [0.0, 0.0]} if self.variant == "wind" else {}))
        return Task("{}[{:+.3f},{:+.3f}]".format(self.name, *params["goal"]), dict(params))

    def meta_test(self) -> list[Task]:
        return self.sample(self.num_test_tasks, rng=numpy_rng((self.test_seed,)))

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode: the path so far, and the goal that the point is not told."""
        env, lane = self.make_env(1), np.array([0])
        path = [env.reset(lane, [task], [seed])[0].copy()]
        path += [env.step(lane, action[None]).obs[0].copy() for action in actions]
        return draw_path(
            np.array(path), task.params["goal"], radius=self.SPARSE_RADIUS, half_width=0.75, size=size, every=every
        )

    def make_env(self, num_lanes: int) -> NavigationLanes:
        return NavigationLanes(num_lanes, sparse=self.variant == "sparse")


class NavigationLanes:
    """All lanes as a few arrays: a step is a handful of NumPy calls for any number of lanes."""

    def __init__(self, num_lanes: int, *, sparse: bool) -> None:
        self._sparse = sparse
        self._position = np.zeros((num_lanes, 2))
        self._goal = np.zeros((num_lanes, 2))
        self._wind = np.zeros((num_lanes, 2))

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        self._position[lanes] = 0.0
        self._goal[lanes] = [task.params["goal"] for task in tasks]
        self._wind[lanes] = [task.params.get("wind", (0.0, 0.0)) for task in tasks]
        return self._position[lanes]

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        self._position[lanes] += Navigation.MAX_SPEED * np.clip(actions, -1, 1) + self._wind[lanes]
        obs = self._position[lanes]
        offset = obs - self._goal[lanes]
        reached = np.abs(offset).max(-1) < Navigation.GOAL_HALF_WIDTH
        distance = np.hypot(*offset.T)
        rewards = np.maximum(0.0, 1.0 - distance / Navigation.SPARSE_RADIUS) if self._sparse else -distance
        return EnvStep(obs, rewards, reached, np.zeros_like(reached), reached)

    def close(self) -> None:
        pass
