"""How fast the tasks step and reset: Meta-World's env, this package, and bare physics on the same states."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from metarl.envs.metaworld.fast.lane import HORIZON, SawyerLane
from metarl.envs.metaworld.fast.model import SawyerModel
from metarl.envs.metaworld.fast.physics import get_state, set_state
from metarl.envs.metaworld.official import begin, official_env
from metarl.envs.mujoco_calls import MjData, make_data, mj_forward, mj_step

BLOCK = 10
"""Steps timed at a stretch, the three ways in turn, so that other load on the machine hits all three."""


def _microseconds(run: Callable[[], object]) -> float:
    """CPU time: what else the machine does costs caches, but no minutes."""
    start = time.process_time()
    run()
    return 1e6 * (time.process_time() - start)


def _median_ms(runs: Iterable[Callable[[], object]]) -> float:
    return statistics.median(_microseconds(run) for run in runs) / 1e3


def _rand_vecs(lane: SawyerLane, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`count` random rand_vecs that Meta-World accepts."""
    space = lane.shared.rand_vec_space
    accepted: list[np.ndarray] = []
    while len(accepted) < count:
        rand_vec = rng.uniform(space.low, space.high)
        try:
            lane.reset(rand_vec)
        except ValueError:  # object and goal too close
            continue
        accepted.append(rand_vec)
    return accepted


def _run(step: Callable[[np.ndarray], object], actions: np.ndarray) -> None:
    for action in actions:
        step(action)


def _controls(lane: SawyerLane, actions: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Step the lane; (mocap position, control) that it derives from each action."""
    controls = []
    for action in actions:
        lane.step(action)
        controls.append((lane.data.mocap_pos.copy(), lane.data.ctrl.copy()))
    return controls


def _run_physics(shared: SawyerModel, data: MjData, controls: list[tuple[np.ndarray, np.ndarray]]) -> None:
    model, mocap_pos, ctrl = shared.model, data.mocap_pos, data.ctrl
    for position, control in controls:
        mocap_pos[:] = position
        ctrl[:] = control
        mj_step(model, data, shared.frame_skip)
        mj_forward(model, data)


def _step_times(
    env: SawyerXYZEnv, lane: SawyerLane, rand_vec: np.ndarray, steps: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Median µs a step of (Meta-World, lane, bare physics), over blocks that run through the same states."""
    model = lane.shared.model
    bare = make_data(model)
    blocks: list[tuple[float, float, float]] = []
    env.reset()
    lane.reset(rand_vec)
    for _ in range(min(steps, HORIZON) // BLOCK):
        actions = rng.uniform(-1, 1, (BLOCK, 4)).astype(np.float32)
        metaworld_block = _microseconds(partial(_run, env.step, actions))
        # our two ways run each block twice and time the second run: they would else start in the caches that
        # Meta-World's code has just filled with its own, as no sampler does
        start = get_state(model, lane.data)
        controls = _controls(lane, actions)
        set_state(model, lane.data, start)
        lane.num_steps -= BLOCK
        fast_block = _microseconds(partial(_run, lane.step, actions))
        physics = partial(_run_physics, lane.shared, bare, controls)
        set_state(model, bare, start)
        physics()
        set_state(model, bare, start)
        blocks.append((metaworld_block, fast_block, _microseconds(physics)))
    metaworld_us, fast_us, physics_us = np.median(blocks, axis=0) / BLOCK
    return float(metaworld_us), float(fast_us), float(physics_us)


def physics_start(env_name: str, *, steps: int, seed: int = 0) -> dict[str, Any]:
    """A random episode's physics as plain data, for another MuJoCo to repeat: model, state and each step's controls."""
    rng = np.random.default_rng(seed)
    lane = SawyerLane(SawyerModel(env_name))
    _rand_vecs(lane, 1, rng)
    model, data = lane.shared.model, lane.data
    state = {
        name: getattr(data, name).tolist() for name in ("qpos", "qvel", "qacc_warmstart", "mocap_pos", "mocap_quat")
    }
    controls = _controls(lane, rng.uniform(-1, 1, (min(steps, HORIZON), 4)).astype(np.float32))
    return {
        "task": env_name,
        "file": lane.shared.stage.env.fullpath,
        # what metaworld writes into a compiled model
        "model": {name: getattr(model, name).tolist() for name in ("body_pos", "site_pos", "eq_data")},
        "data": state,
        "controls": [(position.tolist(), control.tolist()) for position, control in controls],
        "frame_skip": lane.shared.frame_skip,
    }


def bench_task(env_name: str, *, steps: int, resets: int = 10, seed: int = 0) -> dict[str, float | str]:
    """One task's times under random actions; see `bench_tasks`."""
    rng = np.random.default_rng(seed)
    shared = SawyerModel(env_name)
    lane = SawyerLane(shared)
    rand_vecs = _rand_vecs(lane, resets, rng)
    env = official_env(env_name)
    begin(env, rand_vecs[0], goal_visible=False)
    metaworld_us, fast_us, physics_us = _step_times(env, lane, rand_vecs[0], steps, rng)
    again = [vec for _ in range(3) for vec in rand_vecs]
    fresh = _rand_vecs(SawyerLane(SawyerModel(env_name)), resets, np.random.default_rng(seed + 1))
    return {
        "task": env_name,
        "metaworld_us": metaworld_us,
        "fast_us": fast_us,
        "physics_us": physics_us,
        "speedup": metaworld_us / fast_us,
        "share_of_physics_rate": physics_us / fast_us,
        "metaworld_reset_ms": _median_ms(env.reset for _ in range(resets)),
        "new_goal_reset_ms": _median_ms(partial(lane.reset, vec) for vec in fresh),
        "known_goal_reset_ms": _median_ms(partial(lane.reset, vec) for vec in again),
    }


def bench_tasks(names: Sequence[str], steps: int = HORIZON) -> list[dict[str, float | str]]:
    """Per task: µs a step (metaworld, fast, physics), the two ratios, and ms a reset.

    `new_goal_reset_ms` is a goal's first reset, `known_goal_reset_ms` a later one; `share_of_physics_rate` is
    1 where nothing but the physics costs.
    """
    return [bench_task(name, steps=steps) for name in names]
