"""Random finite Markov decision processes, RL²'s second experiment (Duan et al. 2016, section 3.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import EnvStep, Lanes
from metarl.types import EnvSpec, Task
from metarl.validate import Bounds, Checked, Count, Natural


@dataclass(frozen=True, kw_only=True)
class TabularMDPs(Checked):
    """P(. | s, a) ~ Dirichlet(1, ..., 1), rewards N(mean(s, a), 1) with mean ~ N(1, 1). Episodes start in state 0.

    obs: one-hot state. A trial of the paper is several episodes of 10 steps (10, 25, 50, 75 or 100 of them).
    """

    name: str = "tabular-mdp"
    states: Annotated[int, Bounds(least=2)] = 10
    actions: Annotated[int, Bounds(least=2)] = 5
    horizon_steps: Count = 10
    num_test_tasks: Count = 100
    test_seed: Natural = 20161110
    """Held-out processes are drawn once, from this seed; meta-training ones are continuous draws."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(
            obs_dim=self.states,
            action_dim=self.actions,
            discrete=True,
            horizon_steps=self.horizon_steps,
            measures_success=False,
        )

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        shape = (num_tasks, self.states, self.actions)
        transitions = rng.dirichlet(np.ones(self.states), shape)
        means = rng.normal(1.0, 1.0, shape)
        return [
            Task(
                f"{self.name}[{hashlib.sha256(mean.tobytes()).hexdigest()[:10]}]",
                {"transitions": transition.tolist(), "means": mean.tolist()},
            )
            for transition, mean in zip(transitions, means, strict=True)
        ]

    def meta_test(self) -> list[Task]:
        return self.sample(self.num_test_tasks, rng=numpy_rng((self.test_seed,)))

    def make_env(self, num_lanes: int) -> TabularLanes:
        return TabularLanes(num_lanes, self)


class TabularLanes:
    """All lanes as arrays. An episode's luck is drawn at its reset: two numbers a step, whatever will be done."""

    def __init__(self, num_lanes: int, mdps: TabularMDPs) -> None:
        self._horizon, states, actions = mdps.horizon_steps, mdps.states, mdps.actions
        self._one_hot = np.eye(states)
        self._cumulative = np.zeros((num_lanes, states, actions, states))
        self._means = np.zeros((num_lanes, states, actions))
        self._where = np.zeros((num_lanes, self._horizon))
        self._noise = np.zeros((num_lanes, self._horizon))
        self._state = np.zeros(num_lanes, np.intp)
        self._t = np.zeros(num_lanes, np.intp)

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        for lane, task, seed in zip(lanes.tolist(), tasks, seeds, strict=True):
            self._cumulative[lane] = np.cumsum(task.params["transitions"], -1)
            self._means[lane] = task.params["means"]
            rng = numpy_rng(seed)
            self._where[lane], self._noise[lane] = rng.random(self._horizon), rng.standard_normal(self._horizon)
        self._state[lanes], self._t[lanes] = 0, 0
        return self._one_hot[self._state[lanes]]

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        state, t = self._state[lanes], self._t[lanes]
        rewards = self._means[lanes, state, actions] + self._noise[lanes, t]
        cumulative = self._cumulative[lanes, state, actions]
        # rounding may leave the last entry a little under 1
        arrived = (cumulative[:, :-1] <= self._where[lanes, t, None]).sum(-1)
        self._state[lanes] = arrived
        self._t[lanes] += 1
        no = np.zeros(len(lanes), bool)
        return EnvStep(self._one_hot[arrived], rewards, no, self._t[lanes] >= self._horizon, no)

    def close(self) -> None:
        pass
