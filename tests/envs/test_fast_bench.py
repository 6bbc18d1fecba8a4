"""The benchmark of the fast path runs, and memory stays flat over many task changes."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from metarl.envs.metaworld.fast import SawyerLane, SawyerModel
from metarl.envs.metaworld.fast.bench import bench_tasks


def test_bench_reports_every_time_and_ratio():
    (row,) = bench_tasks(["reach-v3"], steps=20)
    assert row["task"] == "reach-v3"
    for kind in ("metaworld_us", "fast_us", "physics_us", "metaworld_reset_ms", "new_goal_reset_ms"):
        assert row[kind] > 0
    assert row["speedup"] == row["metaworld_us"] / row["fast_us"]
    assert row["known_goal_reset_ms"] < row["metaworld_reset_ms"]


@pytest.mark.slow
def test_memory_is_flat_over_2000_task_changes():
    """Each change is another task with a goal never seen before; the first 700 fill the caches."""
    rng = np.random.default_rng(0)
    names = ("reach-v3", "drawer-open-v3", "door-lock-v3", "window-open-v3", "dial-turn-v3")
    lanes = [SawyerLane(SawyerModel(name)) for name in names]
    process = psutil.Process()

    def change_tasks(count: int) -> None:
        for i in range(count):
            lane = lanes[i % len(lanes)]
            space = lane.shared.rand_vec_space
            lane.reset(rng.uniform(space.low, space.high) if space.shape == (3,) else space.high)
            lane.step(rng.uniform(-1, 1, 4).astype(np.float32))

    change_tasks(700)
    before = process.memory_info().rss
    change_tasks(2000)
    assert process.memory_info().rss < 1.05 * before
