"""Episodes side by side, with drawn tasks and seeds: what the vector env and the env by itself have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from metarl.envs.vector.draws import TaskDraws
from metarl.envs.vector.film import Film
from metarl.envs.vector.given import Given, tasks_given
from metarl.envs.vector.options import is_whole
from metarl.envs.vector.worker_lanes import WorkerLanes
from metarl.errors import UserError, sentence_of
from metarl.tasks import EnvStep, Lanes, Replays, TaskDistribution
from metarl.types import EnvSpec, Task


def observation_space(spec: EnvSpec) -> Box:
    """Without bounds, as observations do leave those that Meta-World declares; in the simulator's own precision."""
    return Box(-np.inf, np.inf, (spec.obs_dim,), np.float64)


def action_space(spec: EnvSpec) -> Any:
    """Gymnasium's space of one lane's actions."""
    return Discrete(spec.action_dim) if spec.discrete else Box(-1.0, 1.0, (spec.action_dim,), np.float32)


def render_modes(tasks: TaskDistribution) -> list[str]:
    """Gymnasium's list of them: pictures where the tasks can be drawn, else none."""
    return ["rgb_array"] if isinstance(tasks, Replays) else []


class DrawnEpisodes:
    """An episode for each of `draws`. It begins when told to, and then draws its task and its seed."""

    def __init__(
        self,
        tasks: TaskDistribution,
        draws: Sequence[TaskDraws],
        *,
        max_episode_steps: int | None,
        render_mode: str | None,
        render_size: int,
        workers: int = 0,
    ) -> None:
        self._spec, self._tasks, self._draws = tasks.spec, tasks, draws
        horizon = self._spec.horizon_steps
        if max_episode_steps is not None and not (is_whole(max_episode_steps) and 1 <= max_episode_steps <= horizon):
            raise UserError(
                f"max_episode_steps={max_episode_steps!r} must be a whole number from 1 to {horizon}, the horizon of "
                f"{tasks.name}; leave it out for that"
            )
        if render_mode is not None and render_mode not in render_modes(tasks):
            raise UserError(
                f"render_mode={render_mode!r}: {tasks.name} has {', '.join(render_modes(tasks)) or 'no picture'}; "
                "give that, or leave it out"
            )
        self._horizon_steps = horizon if max_episode_steps is None else max_episode_steps
        if not is_whole(render_size) or render_size < 1:
            raise UserError(f"render_size={render_size!r} must be a whole number >= 1; give the pixels of an edge")
        if not is_whole(workers) or workers < 0:
            raise UserError(f"workers={workers!r} must be a whole number >= 0; 0 is this process alone")
        self._workers = WorkerLanes(tasks, len(draws), num_workers=workers) if workers else None
        self._lanes = self._workers or tasks.make_env(len(draws))
        self._films = (
            [Film(tasks, size=render_size) for _ in draws] if render_mode and isinstance(tasks, Replays) else []
        )
        self._num_steps = np.zeros(len(draws), np.intp)
        self.measures_success = self._spec.measures_success is not False
        self.now: list[Task | None] = [None] * len(draws)
        """Each env's task; None before its first episode."""

    def hold(self, given: Given | Sequence[Given], lanes: Lanes) -> None:
        """From the next episode on it is this task; None: each episode has a new draw."""
        tasks = tasks_given(self._tasks, given, len(self._draws))
        for lane in lanes.tolist():
            self._draws[lane].held = tasks[lane]

    def hold_drawn(self, lanes: Lanes, rngs: Sequence[np.random.Generator]) -> None:
        """From the next episode on it is a newly drawn task."""
        for lane, rng in zip(lanes.tolist(), rngs, strict=True):
            self._draws[lane].held = self._draws[lane].draw(rng)

    def held(self) -> list[Task | None]:
        return [draws.held for draws in self._draws]

    def restart(self, lane: int) -> None:
        """A new seed: tasks that come in turn begin again."""
        self._draws[lane].restart()

    def begin(self, lanes: Lanes, rngs: Sequence[np.random.Generator]) -> NDArray[np.floating]:
        """Start an episode in each of `lanes`; returns obs (L, O)."""
        tasks = [self._draws[lane].next(rng) for lane, rng in zip(lanes.tolist(), rngs, strict=True)]
        seeds = [(int(rng.integers(2**31)), 0, 0) for rng in rngs]  # ends as the pool's seeds do
        for lane, task, seed in zip(lanes.tolist(), tasks, seeds, strict=True):
            self.now[lane] = task
            if self._films:
                self._films[lane].begin(task, seed)
        self._num_steps[lanes] = 0
        return self._lanes.reset(lanes, tasks, seeds)

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        """Step the named envs; an episode that does not end by itself is truncated at the horizon.

        Raises UserError for an action that is none.
        """
        self._check(lanes, actions)
        step = self._lanes.step(lanes, actions)
        self._num_steps[lanes] += 1
        if self._films:
            for lane, action in zip(lanes.tolist(), actions, strict=True):
                self._films[lane].step(action)
        truncated = step.truncated | (self._num_steps[lanes] >= self._horizon_steps)
        return step._replace(truncated=truncated & ~step.terminated)

    def _check(self, lanes: Lanes, actions: NDArray) -> None:
        if self._spec.discrete:
            wrong = (actions < 0) | (actions >= self._spec.action_dim)
            rule = f"must be 0 to {self._spec.action_dim - 1}"
        else:
            wrong = ~np.isfinite(actions).all(-1)
            rule = "must be finite numbers"
        if wrong.any():
            which = int(np.argmax(wrong))
            lane = int(lanes[which])
            task = self.now[lane]
            raise UserError(
                f"the action {actions[which].tolist()} of env {lane} at step {self._num_steps[lane] + 1} of "
                f"{task.id if task else 'no task'} {rule}; look at the policy"
            )

    def lost(self) -> NDArray[np.bool_]:
        """(num_envs,): whose process died in the last step, and the episode with it."""
        return np.zeros(len(self._draws), bool) if self._workers is None else self._workers.lost.copy()

    def frames(self) -> tuple[NDArray[np.uint8], ...]:
        """Of each env, (size, size, 3); none without a render_mode."""
        return tuple(film.frame() for film in self._films)

    def close(self) -> None:
        for film in self._films:
            film.close()
        self._lanes.close()


def as_actions(actions: Any, space: Any, *, num_envs: int | None) -> NDArray:
    """In the dtype of the space, of which `num_envs` are batched. Raises UserError for another shape or kind."""
    rows = "" if num_envs is None else f", a row for each of {num_envs} envs"
    try:
        given = np.asarray(actions)
    except Exception as error:  # rows of several lengths, or a tensor of another library that is not to be converted
        raise UserError(
            f"actions cannot be made an array ({sentence_of(error)}), which must be {space.dtype} {space.shape}{rows}; "
            "look at the policy"
        ) from error
    kinds = "iu" if np.issubdtype(space.dtype, np.integer) else "fiu"
    if given.shape != space.shape or given.dtype.kind not in kinds:
        raise UserError(
            f"actions are {given.dtype} {given.shape} and must be {space.dtype} {space.shape}{rows}; look at the policy"
        )
    return given.astype(space.dtype, copy=False)
