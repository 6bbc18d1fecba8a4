"""What runs under the interpreter that EnvPool is installed for: a request as JSON on stdin, the timings on stdout.

Nothing of metarl is there, so that this file imports nothing of it; ours are driven by the same functions.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

WARM_UP_STEPS = 20
BLOCK = 10
"""Env steps timed at a stretch."""

Act = Callable[[np.ndarray], np.ndarray]
"""obs (n, O) -> float32 actions (n, A)."""


def steps_per_second(envs: Any, first: Any, act: Act, *, num_steps: int) -> float:
    """Env steps/s of vector envs whose reset answered `first`, after a warm-up."""
    obs = first[0] if isinstance(first, tuple) else first
    for _ in range(WARM_UP_STEPS):
        obs = envs.step(act(obs))[0]
    begin = time.perf_counter()
    for _ in range(num_steps):
        obs = envs.step(act(obs))[0]
    return num_steps * len(obs) / (time.perf_counter() - begin)


def random_actions(action_dim: int) -> Act:
    rng = np.random.default_rng(0)
    return lambda obs: rng.uniform(-1, 1, (len(obs), action_dim)).astype(np.float32)


def tanh_policy(obs_dim: int, action_dim: int, *, hidden: int = 256) -> Act:
    """Two hidden layers, random weights that keep actions apart from the bounds."""
    rng = np.random.default_rng(0)
    sizes = (obs_dim, hidden, hidden, action_dim)
    layers = [rng.normal(0, a**-0.5, (a, b)).astype(np.float32) for a, b in pairwise(sizes)]

    def act(obs: np.ndarray) -> np.ndarray:
        x = obs.astype(np.float32)
        for layer in layers:
            x = np.tanh(x @ layer)
        return x

    return act


POLICIES: dict[str, Callable[[int, int], Act]] = {
    "random": lambda obs_dim, action_dim: random_actions(action_dim),
    "2x256 policy": tanh_policy,
}


def envpool_id(env_name: str) -> str:
    """'reach-wall-v3' -> 'MetaWorld/ReachWall-v3'."""
    *words, version = env_name.split("-")
    return f"MetaWorld/{''.join(map(str.capitalize, words))}-{version}"


def envpool_us(env_name: str, *, steps: int) -> float:
    """Median CPU time of an env step, µs: ten envs on one thread, random actions, no episode's end among the steps."""
    envs = _pool(env_name, num_envs=BLOCK, num_threads=1)
    envs.reset()
    act = random_actions(4)
    blocks = []
    for _ in range(steps):
        actions = act(np.zeros((BLOCK, 0)))
        begin = time.process_time()
        envs.step(actions)
        blocks.append(time.process_time() - begin)
    envs.close()
    return 1e6 * statistics.median(blocks) / BLOCK


def physics_us(start: dict[str, Any]) -> float:
    """Median CPU time of the physics of an env step, µs, under this interpreter's mujoco, from that state on."""
    mujoco: Any = importlib.import_module("mujoco")
    model = mujoco.MjModel.from_xml_path(start["file"])
    for name, value in start["model"].items():
        getattr(model, name)[:] = value
    data = mujoco.MjData(model)
    for name, value in start["data"].items():
        getattr(data, name)[:] = value
    signature = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(model, signature))
    controls = [(np.array(position), np.array(control)) for position, control in start["controls"]]
    blocks = []
    for begin in range(0, len(controls), BLOCK):
        mujoco.mj_getState(model, data, state, signature)
        for _ in range(2):  # the second run starts in warm caches, and counts
            mujoco.mj_setState(model, data, state, signature)
            started = time.process_time()
            for position, control in controls[begin : begin + BLOCK]:
                data.mocap_pos[:] = position
                data.ctrl[:] = control
                mujoco.mj_step(model, data, start["frame_skip"])
                mujoco.mj_forward(model, data)
            seconds = time.process_time() - started
        blocks.append(seconds)
    return 1e6 * statistics.median(blocks) / BLOCK


def sampled(request: dict[str, Any]) -> dict[str, float]:
    """Env steps/s under each policy, over tasks that take turns: a pool has envs of one task."""
    rates: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for env_name in request["tasks"]:
        envs = _pool(env_name, num_envs=request["num_envs"], num_threads=request["threads"])
        first = envs.reset()
        for policy, actions in POLICIES.items():
            rates[policy].append(steps_per_second(envs, first, actions(39, 4), num_steps=request["num_steps"]))
        envs.close()
    return {policy: statistics.harmonic_mean(of_tasks) for policy, of_tasks in rates.items()}


def answer(request: dict[str, Any]) -> Any:
    if "starts" in request:
        return [
            {"envpool_us": envpool_us(start["task"], steps=request["steps"]), "envpool_physics_us": physics_us(start)}
            for start in request["starts"]
        ]
    return sampled(request)


def _pool(env_name: str, *, num_envs: int, num_threads: int) -> Any:
    envpool: Any = importlib.import_module("envpool")
    return envpool.make_gymnasium(envpool_id(env_name), num_envs=num_envs, num_threads=num_threads, seed=0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin))))
