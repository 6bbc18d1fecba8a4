"""Sinusoid regression (Finn et al. 2017, section 5.1): y = A sin(x - phase) from K points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metarl.errors import UserError
from metarl.fewshot.data.source import DataSpec, Split
from metarl.fewshot.data.suites import parse_suite
from metarl.fewshot.examples import Examples
from metarl.types import Task, TaskData
from metarl.validate import Checked, Count


@dataclass(frozen=True, kw_only=True)
class SinusoidConfig(Checked):
    """Settings of regression tasks: sinusoids of drawn amplitude and phase (Finn et al. 2017)."""

    shots: Count = 10
    """Support points of a task."""
    queries: Count = 10
    """Query points of a training task."""
    test_queries: Count = 100
    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, math.pi)
    x_range: tuple[float, float] = (-5.0, 5.0)


class Sinusoid:
    """An EpisodeSource whose tasks are (amplitude, phase, points); a suite is the number of test shots: 5s, 10s."""

    def __init__(self, config: SinusoidConfig) -> None:
        self.config = config
        self.spec = DataSpec(input_shape=(1,), outputs=1, regression=True)

    def sample_tasks(self, num_tasks: int, *, split: Split, rng: np.random.Generator) -> list[Task]:
        return self._tasks(num_tasks, self.config.shots, self.config.queries, rng)

    def test_tasks(self, suite: str, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        ways, shots, queries = parse_suite(suite)
        if ways is not None:
            raise UserError(f"suite {suite!r} has classes, a regression has none; give the points alone, as in '10s'")
        return self._tasks(num_tasks, shots, queries or self.config.test_queries, rng)

    def _tasks(self, num_tasks: int, shots: int, queries: int, rng: np.random.Generator) -> list[Task]:
        config = self.config
        amplitudes = rng.uniform(*config.amplitude, num_tasks).tolist()
        phases = rng.uniform(*config.phase, num_tasks).tolist()
        return [
            Task(f"sinusoid{i}", {"amplitude": a, "phase": p, "shots": shots, "queries": queries})
            for i, (a, p) in enumerate(zip(amplitudes, phases, strict=True))
        ]

    def data(self, tasks: Sequence[Task], *, rng: np.random.Generator) -> list[TaskData]:
        """x is drawn from `rng`, all tasks at once."""
        shots, queries = tasks[0].params["shots"], tasks[0].params["queries"]
        amplitude, phase = (np.array([task.params[name] for task in tasks])[:, None] for name in ("amplitude", "phase"))
        points = rng.uniform(*self.config.x_range, (len(tasks), shots + queries))
        x = torch.from_numpy(points.astype(np.float32)).unsqueeze(-1)
        y = torch.from_numpy((amplitude * np.sin(points - phase)).astype(np.float32)).unsqueeze(-1)
        return [
            TaskData(task, (Examples(x[i, :shots], y[i, :shots]),), Examples(x[i, shots:], y[i, shots:]))
            for i, task in enumerate(tasks)
        ]
