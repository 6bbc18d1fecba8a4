"""A trial of a task distribution as one episode of a plain gymnasium env: RL² with other libraries' agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.tasks import TaskDistribution
from metarl.types import Task

_LANE = np.array([0])


class TrialEnv(gym.Env):
    """Each episode is a trial (Duan et al. 2016): a task drawn anew, and `episodes_per_trial` episodes of it.

    observation (O + A + 2,) float32: the task's own observation, the real previous action (one-hot if discrete), its
    reward, and whether it ended an episode; all zero but the first at the start of a trial. At an inner episode's end
    the observation is already the next episode's first; the trial itself is terminated after its last, whatever
    ended that: nothing is earned behind it, so that a learner must not bootstrap there, as our own RL² does not.

    action: the task's, Box(-1, 1) or Discrete. info: `task` (its id), `trial_episode` (0, 1, ... within the trial; SB3
    takes `episode` for its Monitor's) and `success` of the step taken.
    """

    def __init__(
        self, tasks: TaskDistribution, *, episodes_per_trial: int = 10, split: Literal["train", "test"] = "train"
    ) -> None:
        """`test`: the held-out tasks in turn, the same order from every `reset(seed=)`."""
        if episodes_per_trial < 1:
            raise UserError(f"episodes_per_trial={episodes_per_trial} must be >= 1; 10 is Meta-World's protocol")
        if split not in ("train", "test"):
            raise UserError(f"split={split!r} is neither 'train' nor 'test'; give one of them")
        spec = tasks.spec
        self._tasks, self._spec, self._episodes_per_trial = tasks, spec, episodes_per_trial
        self._held_out: Sequence[Task] | None = tasks.meta_test() if split == "test" else None
        self._lanes = tasks.make_env(1)
        self._task: Task | None = None
        self._trial = -1
        self._episode = self._num_steps = 0
        size = spec.obs_dim + spec.action_dim + 2
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space: Any = (
            Discrete(spec.action_dim) if spec.discrete else Box(-1.0, 1.0, (spec.action_dim,), np.float32)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._trial = 0 if seed is not None else self._trial + 1
        if self._held_out is None:
            (self._task,) = self._tasks.sample(1, rng=self.np_random)
        else:
            self._task = self._held_out[self._trial % len(self._held_out)]
        self._episode = 0
        return self._observation(self._begin_episode(), None, 0.0, False), self._info(success=False)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        if self._task is None:
            raise UserError("TrialEnv is stepped before its first reset; call reset first")
        step = self._lanes.step(_LANE, np.asarray(action)[None])
        self._num_steps += 1
        reward = float(step.rewards[0])
        info = self._info(success=bool(step.success[0]))
        obs = step.obs[0]
        ended = bool(step.terminated[0] or step.truncated[0]) or self._num_steps >= self._spec.horizon_steps
        if ended:
            self._episode += 1
            if self._episode < self._episodes_per_trial:
                obs = self._begin_episode()
        # the trial is RL²'s episode: truncated, SB3 would add the value of trials that go on, which none does
        terminated = self._episode >= self._episodes_per_trial
        observation = self._observation(obs, action, reward, ended)
        if terminated:
            self._task = None
        return observation, reward, terminated, False, info

    def close(self) -> None:
        self._lanes.close()

    def _begin_episode(self) -> NDArray[np.floating]:
        assert self._task is not None
        self._num_steps = 0
        seed = (int(self.np_random.integers(2**31)), self._episode, 0)  # ends as the pool's seeds do
        return self._lanes.reset(_LANE, [self._task], [seed])[0]

    def _observation(self, obs: NDArray[np.floating], action: Any, reward: float, ended: bool) -> NDArray[np.float32]:
        previous = np.zeros(self._spec.action_dim)
        if action is not None:
            if self._spec.discrete:
                previous[int(action)] = 1.0
            else:
                previous[:] = action
        return np.concatenate([obs, previous, [reward, float(ended)]]).astype(np.float32)

    def _info(self, *, success: bool) -> dict[str, Any]:
        assert self._task is not None
        return {"task": self._task.id, "trial_episode": self._episode, "success": success}
