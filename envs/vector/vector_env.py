"""Our lanes as gymnasium's VectorEnv: what SyncVectorEnv returns of single envs, at the speed of the physics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from metarl.envs.vector.draws import Split, draws_of_many
from metarl.envs.vector.episodes import DrawnEpisodes, action_space, as_actions, observation_space, render_modes
from metarl.envs.vector.given import Given
from metarl.envs.vector.options import checked_options, reset_mask, seeds_of
from metarl.envs.vector.shared_rows import these
from metarl.errors import UserError
from metarl.tasks import Lanes, TaskDistribution
from metarl.types import Task

Infos = dict[str, Any]
Stepped = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Infos]
"""obs (n, O), rewards (n,), terminated (n,), truncated (n,), infos."""


class LaneVectorEnv(VectorEnv[NDArray[np.float64], NDArray, NDArray]):
    """num_envs episodes in lockstep. Env i has a seed of its own, seed + i, which decides its tasks and episodes.

    Each class of tasks has as many envs, one class after the other. options of reset: `reset_mask`, gymnasium's, and
    `task`, as for `set_task`. infos: `task`, the id, where an episode began, `success` where one was stepped, and
    `worker_lost` where one was truncated because its process died.
    """

    def __init__(
        self,
        tasks: TaskDistribution,
        num_envs: int,
        *,
        split: Split = "train",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        render_size: int = 480,
        workers: int = 0,
    ) -> None:
        """`split`: tasks drawn from those to train on, or the held-out ones in turn.

        `workers`: processes that share the envs; 0: this one steps them. The numbers are the same.
        """
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError as error:
            names = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise UserError(f"autoreset_mode={autoreset_mode!r} is unknown; gymnasium has {names}") from error
        self._episodes = DrawnEpisodes(
            tasks,
            draws_of_many(tasks, num_envs, split=split),
            max_episode_steps=max_episode_steps,
            render_mode=render_mode,
            render_size=render_size,
            workers=workers,
        )
        self.num_envs = num_envs
        self.metadata = {"render_modes": render_modes(tasks), "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_observation_space = observation_space(tasks.spec)
        self.single_action_space = action_space(tasks.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[tuple[np.random.Generator, int] | None] = [None] * num_envs
        self._obs = np.zeros((num_envs, tasks.spec.obs_dim))
        self._waits = np.ones(num_envs, bool)  # for a reset, before it can be stepped
        self._has_begun = False

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Each env's own, as SyncVectorEnv has it."""
        return tuple(self._rng(lane) for lane in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self._seeded(lane)[1] for lane in range(self.num_envs))

    @property
    def tasks(self) -> list[Task | None]:
        """Of the episodes that go on; None before the first reset."""
        return list(self._episodes.now)

    def set_task(self, task: Given | Sequence[Given]) -> None:
        """Every episode is of this task, or of each env's own of a list, from the next reset on; None: of new draws."""
        self._episodes.hold(task, np.arange(self.num_envs))

    def sample_task(self) -> list[Task]:
        """Draw a task for each env that all its episodes are of from the next reset on."""
        self._episodes.hold_drawn(np.arange(self.num_envs), self.np_random)
        return [task for task in self._episodes.held() if task is not None]

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float64], Infos]:
        self._check_open()
        options = checked_options(options, ("reset_mask", "task"))
        lanes = np.flatnonzero(reset_mask(options, self.num_envs))
        seeds = seeds_of(seed, self.num_envs)
        if "task" in options:  # what is refused changes nothing
            self._episodes.hold(options["task"], lanes)
        for lane in lanes.tolist():
            if (own := seeds[lane]) is not None:
                self._rngs[lane] = seeding.np_random(own)
                self._episodes.restart(lane)
        infos = self._begin(lanes, {})
        self._waits[lanes] = False
        self._has_begun = None not in self._episodes.now
        return self._obs.copy(), infos

    def step(self, actions: Any) -> Stepped:
        self._check_can_step()
        actions = as_actions(actions, self.action_space, num_envs=self.num_envs)
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        success = np.zeros(self.num_envs, bool)
        lanes = np.flatnonzero(~self._waits)
        if lanes.size:
            which = these(lanes, self.num_envs)
            step = self._episodes.step(lanes, actions[which])
            self._obs[which] = step.obs
            rewards[which], success[which] = step.rewards, step.success
            terminated[which], truncated[which] = step.terminated, step.truncated
        infos: Infos = {}
        if (lost := self._episodes.lost()).any():
            infos["worker_lost"], infos["_worker_lost"] = lost, lost.copy()
        over = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            for lane in np.flatnonzero(over).tolist():
                final = {"success": bool(success[lane])} if self._episodes.measures_success else {}
                infos = self._add_info(infos, {"final_obs": self._obs[lane].copy(), "final_info": final}, lane)
            self._tell_success(infos, success, ~over)
            infos = self._begin(np.flatnonzero(over), infos)
        else:
            self._tell_success(infos, success, ~self._waits)
            infos = self._begin(np.flatnonzero(self._waits), infos)
            self._waits = over
        return self._obs.copy(), rewards, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Of each env (size, size, 3) bytes; None without a render_mode."""
        return self._episodes.frames() or None

    def close_extras(self, **kwargs: Any) -> None:
        self._episodes.close()

    def _begin(self, lanes: Lanes, infos: Infos) -> Infos:
        """Start an episode in each of `lanes` and say of which task."""
        if not lanes.size:
            return infos
        self._obs[lanes] = self._episodes.begin(lanes, [self._rng(lane) for lane in lanes.tolist()])
        for lane in lanes.tolist():
            task = self._episodes.now[lane]
            assert task is not None, "it has just begun"
            infos = self._add_info(infos, {"task": task.id}, lane)
        return infos

    def _tell_success(self, infos: Infos, success: NDArray[np.bool_], mask: NDArray[np.bool_]) -> None:
        if self._episodes.measures_success and mask.any():
            infos["success"], infos["_success"] = success & mask, mask.copy()

    def _seeded(self, lane: int) -> tuple[np.random.Generator, int]:
        """An env's generator and its seed, the machine's own luck where nobody gave one."""
        if (seeded := self._rngs[lane]) is None:
            seeded = self._rngs[lane] = seeding.np_random()
        return seeded

    def _rng(self, lane: int) -> np.random.Generator:
        return self._seeded(lane)[0]

    def _check_can_step(self) -> None:
        self._check_open()
        if not self._has_begun:
            raise UserError("the envs are stepped before each has had its first reset; call reset first")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._waits.any():
            raise UserError(
                f"env {int(np.argmax(self._waits))} is stepped after the end of its episode and autoreset_mode is "
                "'Disabled'; reset it with options={'reset_mask': terminated | truncated}"
            )

    def _check_open(self) -> None:
        if self.closed:
            raise UserError("the vector env is closed; make it anew")
