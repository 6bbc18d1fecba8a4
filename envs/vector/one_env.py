"""One env of a task distribution for `gymnasium.make`: each episode is of a task drawn anew, or of one that is set."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl.envs.vector.draws import Split, draws_of_one
from metarl.envs.vector.episodes import DrawnEpisodes, action_space, as_actions, observation_space, render_modes
from metarl.envs.vector.given import Given
from metarl.envs.vector.options import checked_options
from metarl.errors import UserError
from metarl.tasks import TaskDistribution
from metarl.types import Task

_LANE = np.array([0])


class OneEnv(gym.Env):
    """reset(seed=) decides all that follows: tasks, episodes and, with the actions, every number.

    observation (O,) float64; info: `task`, its id, after a reset; `success` of a step where the tasks have one.
    options of reset: `task`, as for `set_task`.
    """

    def __init__(
        self,
        tasks: TaskDistribution,
        *,
        split: Split = "train",
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        render_size: int = 480,
    ) -> None:
        """`split`: tasks drawn from those to train on, or the held-out ones in turn."""
        self._episodes = DrawnEpisodes(
            tasks,
            [draws_of_one(tasks, split=split)],
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
            render_size=render_size,
        )
        self.metadata = {"render_modes": render_modes(tasks)}
        self.render_mode = render_mode
        self.observation_space = observation_space(tasks.spec)
        self.action_space = action_space(tasks.spec)
        self._is_over = True
        self._is_closed = False

    @property
    def task(self) -> Task | None:
        """Of the episode that goes on; None before the first reset."""
        return self._episodes.now[0]

    def set_task(self, task: Given) -> None:
        """Every episode is of this task from the next reset on; with None each is again of a new one."""
        self._episodes.hold(task, _LANE)

    def sample_task(self) -> Task:
        """Draw a task that every episode is of from the next reset on."""
        self._episodes.hold_drawn(_LANE, [self.np_random])
        (task,) = self._episodes.held()
        assert task is not None, "it was just drawn"
        return task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        self._check_open()
        options = checked_options(options, ("task",))
        if "task" in options:
            self.set_task(options["task"])
        super().reset(seed=seed)
        if seed is not None:
            self._episodes.restart(0)
        obs = self._episodes.begin(_LANE, [self.np_random])
        self._is_over = False
        assert self.task is not None, "it has just begun"
        return np.array(obs[0], np.float64), {"task": self.task.id}

    def step(self, action: Any) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        self._check_open()
        if self._is_over:
            raise UserError("the env is stepped outside an episode; call reset first")
        step = self._episodes.step(_LANE, as_actions(action, self.action_space, num_envs=None)[None])
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        self._is_over = terminated or truncated
        info = {"success": bool(step.success[0])} if self._episodes.measures_success else {}
        return np.array(step.obs[0], np.float64), float(step.rewards[0]), terminated, truncated, info

    def render(self) -> Any:
        """(size, size, 3) bytes; None without a render_mode."""
        return next(iter(self._episodes.frames()), None)

    def close(self) -> None:
        self._episodes.close()
        self._is_closed = True

    def _check_open(self) -> None:
        if self._is_closed:
            raise UserError("the env is closed; make it anew")
