"""Multi-armed bandits, RL²'s first experiment (Duan et al. 2016, section 3.1), with the textbook algorithms beside.

A step is a pull, an episode is `pulls` of them. Duan et al. call each pull an episode of its own; the data are the
same, since a pull ends nothing that the next one could see. A trial of one episode is then the paper's trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import EnvStep, Lanes
from metarl.types import EnvSpec, Task
from metarl.validate import Bounds, Checked, Count, Natural

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Bandits(Checked):
    """`arms` whose means are drawn for each task and stay; obs is a constant 1, because there is nothing to see.

    bernoulli: means uniform in [0, 1], reward 0 or 1. gaussian: means N(0, 1), reward N(mean, 1).
    success: the best arm was pulled.
    """

    name: str = "bandits"
    kind: Literal["bernoulli", "gaussian"] = "bernoulli"
    arms: Annotated[int, Bounds(least=2)] = 10
    pulls: Count = 100
    num_test_tasks: Count = 200
    test_seed: Natural = 20161109
    """Held-out bandits are drawn once, from this seed; meta-training ones are continuous draws."""

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(obs_dim=1, action_dim=self.arms, discrete=True, horizon_steps=self.pulls, measures_success=True)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        size = (num_tasks, self.arms)
        means = rng.random(size) if self.kind == "bernoulli" else rng.standard_normal(size)
        return [
            Task(f"{self.kind}[{max(row):.6f}@{row.index(max(row))}]", {"kind": self.kind, "means": row})
            for row in means.tolist()
        ]

    def meta_test(self) -> list[Task]:
        return self.sample(self.num_test_tasks, rng=numpy_rng((self.test_seed,)))

    def make_env(self, num_lanes: int) -> BanditLanes:
        return BanditLanes(num_lanes, self)


class BanditLanes:
    """All lanes as arrays. An episode's luck is drawn at its reset, one number a pull, whichever arm it will be."""

    def __init__(self, num_lanes: int, bandits: Bandits) -> None:
        self._bernoulli, self._pulls = bandits.kind == "bernoulli", bandits.pulls
        self._means = np.zeros((num_lanes, bandits.arms))
        self._luck = np.zeros((num_lanes, bandits.pulls))
        self._t = np.zeros(num_lanes, np.intp)

    def reset(self, lanes: Lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> NDArray[np.floating]:
        self._means[lanes] = [task.params["means"] for task in tasks]
        for lane, seed in zip(lanes.tolist(), seeds, strict=True):
            rng = numpy_rng(seed)
            self._luck[lane] = rng.random(self._pulls) if self._bernoulli else rng.standard_normal(self._pulls)
        self._t[lanes] = 0
        return np.ones((len(lanes), 1))

    def step(self, lanes: Lanes, actions: NDArray) -> EnvStep:
        means, luck = self._means[lanes], self._luck[lanes, self._t[lanes]]
        mean = means[np.arange(len(lanes)), actions]
        rewards = (luck < mean).astype(np.float64) if self._bernoulli else mean + luck
        self._t[lanes] += 1
        no = np.zeros(len(lanes), bool)
        over = self._t[lanes] >= self._pulls
        return EnvStep(np.ones((len(lanes), 1)), rewards, over, no, mean == means.max(-1))

    def close(self) -> None:
        pass


# ---- the algorithms to compare with: rewards (B, pulls) on B tasks; they know nothing but what they have pulled

Choose = Callable[[int, Floats, Floats], NDArray[np.intp]]
"""(pulls so far, times each arm was pulled (B, arms), sum of its rewards (B, arms)) -> arms (B,)."""


def play(tasks: Sequence[Task], choose: Choose, *, pulls: int, rng: np.random.Generator) -> Floats:
    """Pull `pulls` arms of each task as `choose` says; rewards (B, pulls)."""
    means = np.array([task.params["means"] for task in tasks])
    bernoulli = tasks[0].params["kind"] == "bernoulli"
    rows = np.arange(len(tasks))
    counts, sums, rewards = np.zeros_like(means), np.zeros_like(means), np.zeros((len(tasks), pulls))
    for t in range(pulls):
        arms = choose(t, counts, sums)
        mean = means[rows, arms]
        rewards[:, t] = rng.random(len(rows)) < mean if bernoulli else mean + rng.standard_normal(len(rows))
        counts[rows, arms] += 1
        sums[rows, arms] += rewards[:, t]
    return rewards


def ucb1(*, exploration: float = 2.0) -> Choose:
    """argmax mean + sqrt(exploration ln t / n), every arm once first (Auer et al. 2002, figure 1, has 2)."""

    def choose(t: int, counts: Floats, sums: Floats) -> NDArray[np.intp]:
        if t < counts.shape[1]:
            return np.full(len(counts), t)
        return (sums / counts + np.sqrt(exploration * np.log(t) / counts)).argmax(-1)

    return choose


def thompson(rng: np.random.Generator, *, kind: Literal["bernoulli", "gaussian"] = "bernoulli") -> Choose:
    """The best arm of a draw from the posterior (Thompson 1933), with the distribution of tasks as its prior."""

    def choose(t: int, counts: Floats, sums: Floats) -> NDArray[np.intp]:
        if kind == "bernoulli":
            return rng.beta(1 + sums, 1 + counts - sums).argmax(-1)
        return (sums / (1 + counts) + rng.standard_normal(counts.shape) / np.sqrt(1 + counts)).argmax(-1)

    return choose


def uniform(rng: np.random.Generator) -> Choose:
    """The strategy that pulls any arm with the same probability."""
    return lambda t, counts, sums: rng.integers(counts.shape[1], size=len(counts))


def reference_returns(tasks: Sequence[Task], *, pulls: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Sum of rewards (B,) of each algorithm on the same tasks. UCB1 as published, and with the exploration that
    is best of [0.05, 0.1, 0.2, 0.5, 1] on these very tasks: stronger than any fixed choice."""
    kind = tasks[0].params["kind"]
    returns = {
        "ucb1": play(tasks, ucb1(), pulls=pulls, rng=rng).sum(-1),
        "thompson": play(tasks, thompson(rng, kind=kind), pulls=pulls, rng=rng).sum(-1),
        "random": play(tasks, uniform(rng), pulls=pulls, rng=rng).sum(-1),
    }
    tuned = [play(tasks, ucb1(exploration=c), pulls=pulls, rng=rng).sum(-1) for c in (0.05, 0.1, 0.2, 0.5, 1.0)]
    return returns | {"ucb1_tuned": max(tuned, key=lambda r: float(r.mean()))}
