"""The environment side of a rollout: many episodes stepped in lockstep inside one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metarl.errors import EnvFault, UserError
from metarl.seeding import SeedKey
from metarl.tasks import EnvStep, Lanes
from metarl.types import EnvSpec, Task

_HERE = Path(__file__).parent


class LaneStep(NamedTuple):
    """One lane's step."""

    obs: NDArray[np.floating]  # (O,)
    reward: float
    terminated: bool
    truncated: bool
    success: bool


class LaneEnv(Protocol):
    """One environment holding one episode: what `LoopedLanes` makes a BatchEnv of."""

    def reset(self, task: Task, seed: SeedKey) -> NDArray[np.floating]: ...

    def step(self, action: NDArray) -> LaneStep: ...

    def close(self) -> None: ...


class LoopedLanes:
    """A BatchEnv made of single environments, built when a lane is first used and kept for the next episodes."""

    def __init__(self, make_lane: Callable[[], LaneEnv], num_lanes: int, spec: EnvSpec) -> None:
        self._make_lane = make_lane
        self._lanes: list[LaneEnv | None] = [None] * num_lanes
        self._now: list[tuple[Task, SeedKey]] = [(Task("none", {}), ())] * num_lanes
        self._num_steps = [0] * num_lanes
        self._obs = np.zeros((num_lanes, spec.obs_dim))
        self._rewards = np.zeros(num_lanes)
        self._terminated, self._truncated, self._success = np.zeros((3, num_lanes), bool)
        self._kinds: dict[str, int] = {}
        self._kind = np.zeros(num_lanes, np.intp)

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        for lane, task, seed in zip(lanes.tolist(), tasks, seeds, strict=True):
            self._now[lane], self._num_steps[lane] = (task, seed), 0
            self._kind[lane] = self._kinds.setdefault(task.stratum, len(self._kinds))
            try:
                env = self._lanes[lane]
                if env is None:
                    env = self._lanes[lane] = self._make_lane()
                self._obs[lane] = self._row(env.reset(task, seed))
            except UserError:
                raise  # says itself what to fix
            except Exception as error:
                raise EnvFault(task.id, seed, 0, error, beside=_HERE) from error
        return self._obs[lanes]

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        # those of one class of tasks one after another: they may share a model, which is then in the cache
        for index in np.argsort(self._kind[lanes], kind="stable").tolist():
            lane = int(lanes[index])
            env = self._lanes[lane]
            assert env is not None, "a lane is reset before it is stepped"
            self._num_steps[lane] += 1
            try:
                obs, reward, terminated, truncated, success = env.step(actions[index])
                self._obs[lane], self._rewards[lane] = self._row(obs), reward
            except UserError:
                raise
            except Exception as error:
                task, seed = self._now[lane]
                raise EnvFault(task.id, seed, self._num_steps[lane], error, beside=_HERE) from error
            self._terminated[lane], self._truncated[lane], self._success[lane] = terminated, truncated, success
        return EnvStep(
            self._obs[lanes],
            self._rewards[lanes],
            self._terminated[lanes],
            self._truncated[lanes],
            self._success[lanes],
        )

    def _row(self, obs: NDArray[np.floating]) -> NDArray[np.floating]:
        """Raises ValueError for another size than the spec's: NumPy would copy a single number into the whole row."""
        if obs.shape != self._obs.shape[1:]:
            raise ValueError(f"an observation of shape {obs.shape}, and the spec says {self._obs.shape[1:]}")
        return obs

    def lanes(self) -> list[LaneEnv]:
        """Those that have been used."""
        return [lane for lane in self._lanes if lane is not None]

    def close(self) -> None:
        """All of them, also where one raises."""
        with ExitStack() as stack:
            for lane in self.lanes():
                stack.callback(lane.close)
