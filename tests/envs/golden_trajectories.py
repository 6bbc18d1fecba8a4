"""Record the scripted expert's first steps in our stepping: `python -m tests.envs.golden_trajectories [TASK ...]`.

A change that must not change a number leaves golden_trajectories.json as it is. One that changes it on purpose records
it anew, and its commit says why.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from metarl.envs.metaworld.alignment import GOAL, Driver, accepted_reset
from metarl.envs.metaworld.fast import FAST_TASKS, SawyerLane, SawyerModel
from tests.golden.record import processor

GOLDEN = Path(__file__).parent / "golden_trajectories.json"
VERSIONS = ("v2", "v1")
PART, PARTS = 25, 4
"""Steps of a part that has a digest of its own, and parts: the digest that differs first tells where it began."""
DECIMALS = 6
"""A micrometre. Rounding in the last bits stays below it until bodies touch; then 1e-14 grows to 1e-3 in some tasks,
and no rounding would help: on another processor than the record's, `seen` and `rewards` are compared to 1 %."""


def trajectory(env_name: str, reward_version: str) -> dict[str, Any]:
    """Of each part its digest, and at its end what is seen of hand and object (7,) and the reward."""
    rng = np.random.default_rng(0)
    lane = SawyerLane(SawyerModel(env_name, reward_version=reward_version, goal_visible=True))
    _, obs = accepted_reset(lane, rng)
    driver = Driver("expert", env_name, rng)
    digests, seen, rewards, rows = [], [], [], [obs]
    for step in range(1, PART * PARTS + 1):
        obs, reward, success = lane.step(driver(obs[GOAL], obs))
        rows.append(np.array([*obs, reward, success, *lane.info().values()]))
        if step % PART == 0:
            digests.append(_digest(np.concatenate(rows)))
            seen.append(obs[:7].round(DECIMALS).tolist())
            rewards.append(round(reward, DECIMALS))
            rows = []
    return {"digests": digests, "seen": seen, "rewards": rewards}


def _digest(values: np.ndarray) -> str:
    # as whole numbers: they have no -0.0
    return hashlib.sha256((values * 10**DECIMALS).round().astype("<i8").tobytes()).hexdigest()[:16]


def record(names: list[str]) -> None:
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"tasks": {}}
    for name in names or FAST_TASKS:
        for version in VERSIONS:
            key = f"{name} {version}"
            new = trajectory(name, version)
            old = stored["tasks"].get(key)
            print(f"{key}: {'new' if old is None else 'equal' if old == new else 'changed'}", flush=True)
            stored["tasks"][key] = new
    tasks = {key: stored["tasks"][key] for name in FAST_TASKS for version in VERSIONS if (key := f"{name} {version}")}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(task)}" for key, task in tasks.items())
    GOLDEN.write_text(f'{{"processor": {json.dumps(processor())}, "tasks": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Constant")  # Meta-World's experts ask for more than they get
    record(sys.argv[1:])
