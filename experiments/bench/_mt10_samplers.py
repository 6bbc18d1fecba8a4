"""Env steps/s of whole samplers on MT10: ours, EnvPool's, and metaworld's envs in the vector envs of others."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import metaworld  # noqa: F401  (registers Meta-World's environments)
from stable_baselines3.common.vec_env import SubprocVecEnv
from threadpoolctl import threadpool_limits

from metarl.envs.metaworld.mt import MT
from metarl.errors import UserError
from metarl.experiments.bench import _in_envpool
from metarl.experiments.bench._in_envpool import POLICIES, steps_per_second
from metarl.experiments.bench._other_python import answered
from metarl.experiments.bench._speed_tables import ASYNC, ENVPOOL, OURS, SB3, SYNC
from metarl.experiments.bench._vector_envs import started


def mt10_rates(python: Path, *, num_envs: int, num_steps: int, cores: int) -> list[dict[str, Any]]:
    """A row for each sampler and policy, all of it on so many cores. `python` has EnvPool.

    metaworld's samplers have their own ten envs, one a class. EnvPool's pools have one class each and take turns.
    """

    def row(sampler: str, policy: str, rate: float) -> dict[str, Any]:
        return {"sampler": sampler, "cores": cores, "policy": policy, "steps_per_second": rate}

    rows = []
    with on_cores(cores), threadpool_limits(1):  # a second thread of the policy's would fight for the cores
        for name, make in _makers(num_envs, cores).items():
            envs, first = started(name, make)
            for child in multiprocessing.active_children():
                os.sched_setaffinity(child.pid or 0, os.sched_getaffinity(0))  # a fork server may be older than ours
            try:
                for policy, actions in POLICIES.items():
                    obs = first[0] if isinstance(first, tuple) else first
                    rate = steps_per_second(envs, obs, actions(obs.shape[-1], 4), num_steps=num_steps)
                    rows.append(row(name, policy, rate))
            finally:
                envs.close()
        request = {"tasks": MT().class_names, "num_envs": num_envs, "num_steps": num_steps, "threads": cores}
        rates = answered(python, Path(_in_envpool.__file__), request)
    return [*rows, *(row(ENVPOOL, policy, rate) for policy, rate in rates.items())]


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process and those it starts have the first so many cores that it may use. Raises UserError without them."""
    if not hasattr(os, "sched_setaffinity"):
        raise UserError("samplers are compared on a number of cores, which only Linux can set; give --sampler-steps 0")
    all_cores = os.sched_getaffinity(0)
    if len(all_cores) < count:
        raise UserError(f"{count} cores are asked for and {len(all_cores)} are there; lower --cores")
    os.sched_setaffinity(0, sorted(all_cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def _makers(num_envs: int, cores: int) -> dict[str, Callable[[], Any]]:
    return {
        OURS: lambda: gym.make_vec(
            "metarl.envs:metarl/MT10", num_envs, autoreset_mode="SameStep", workers=cores if cores > 1 else 0
        ),
        ASYNC: partial(_metaworlds_own, "async"),
        SYNC: partial(_metaworlds_own, "sync"),
        SB3: lambda: SubprocVecEnv([partial(_metaworld_env, name) for name in MT().class_names]),
    }


def _metaworlds_own(strategy: str) -> Any:
    return gym.make_vec("Meta-World/MT10", vector_strategy=strategy, seed=0, use_one_hot=True)


def _metaworld_env(env_name: str) -> gym.Env:
    return gym.make("Meta-World/MT1", env_name=env_name, seed=0, disable_env_checker=True)
