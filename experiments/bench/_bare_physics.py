"""The rate of mj_step alone: the pool's own episodes replayed, with their starts and actions, in as many processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_calls import mj_step
from metarl.envs.mujoco_v5.tasks import FAMILIES, RobotTasks
from metarl.rollout.jobs import RolloutJob
from metarl.types import Episodes

Share = tuple[str, list[RolloutJob], list[tuple[NDArray, NDArray]]]
"""Family, jobs, and each job's actions (N, T, A) and mask (N, T)."""


def bare_steps_per_second(
    tasks: RobotTasks, jobs: Sequence[RolloutJob], episodes: Sequence[Episodes], *, workers: int
) -> float:
    """Env steps/s (frame_skip physics steps each) with nothing else done; workers run side by side, as the pool's."""
    recorded = [(e.actions.numpy(), e.mask.numpy()) for e in episodes]
    shares: list[Share] = [
        (tasks.family, list(jobs[i :: max(1, workers)]), recorded[i :: max(1, workers)]) for i in range(max(1, workers))
    ]
    if workers == 0:
        return _replay(shares[0])
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(_replay, shares, chunksize=1)  # imports and compiles, untimed
        return sum(pool.map(_replay, shares, chunksize=1))


def _replay(share: Share) -> float:
    family_name, jobs, recorded = share
    tasks, robot = RobotTasks(family=family_name), FAMILIES[family_name].robot
    lanes_of = [(job, episode) for job in jobs for episode in range(job.num_episodes)]
    lanes = tasks.make_env(len(lanes_of))
    lanes.reset(np.arange(len(lanes_of)), [job.task for job, _ in lanes_of], [(*job.seed, n, 0) for job, n in lanes_of])
    low, high = robot.model.actuator_ctrlrange.T
    actions = np.concatenate([a for a, _ in recorded])
    controls = low + (np.clip(actions, -1, 1).astype(np.float64) + 1) * (high - low) / 2
    steps = np.concatenate([m for _, m in recorded]).sum(-1)
    simulations = [(model, data, data.ctrl) for model, data in lanes.simulations()]
    frame_skip, begin = robot.frame_skip, time.perf_counter()
    for t in range(controls.shape[1]):
        for lane in np.flatnonzero(t < steps).tolist():
            model, data, ctrl = simulations[lane]
            ctrl[:] = controls[lane, t]
            mj_step(model, data, frame_skip)
    return float(steps.sum()) / (time.perf_counter() - begin)
