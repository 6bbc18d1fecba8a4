"""What an episode of a task shows under fixed actions: in these lanes, or in a new process, as a worker would."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray

from metarl.errors import sentence_of
from metarl.tasks import BatchEnv, TaskDistribution
from metarl.types import EnvSpec, Task


def random_actions(spec: EnvSpec, num_steps: int, num_lanes: int, seed: int = 0) -> NDArray:
    """Uniform actions, (T, L) int or (T, L, A) float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    if spec.discrete:
        return rng.integers(spec.action_dim, size=(num_steps, num_lanes))
    return rng.uniform(-1, 1, (num_steps, num_lanes, spec.action_dim)).astype(np.float32)


def roll(env: BatchEnv, spec: EnvSpec, task: Task, *, num_steps: int = 30, first_seed: int = 0) -> NDArray[np.float64]:
    """Everything that one episode shows, up to its end, as a vector."""
    lane = np.array([0])
    seen: list[NDArray] = [np.array(env.reset(lane, [task], [(0, first_seed)]), np.float64).ravel()]
    for move in random_actions(spec, min(num_steps, spec.horizon_steps), 1):
        step = env.step(lane, move)
        seen.append(np.concatenate([np.array(step.obs[0], np.float64), step.rewards]))
        if step.terminated[0] or step.truncated[0]:
            break
    return np.concatenate(seen)


def roll_elsewhere(tasks: TaskDistribution, task: Task) -> NDArray[np.float64] | str:
    """The same of a new process, or why there is none, in words."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_roll_anew, tasks, task).result()
        except BrokenProcessPool:
            return "a worker process ends as soon as it has it; its module must be one that can be imported"
        except Exception as error:
            return sentence_of(error)


def _roll_anew(tasks: TaskDistribution, task: Task) -> NDArray[np.float64] | str:
    """Only what can be pickled: an error of the env's may not."""
    try:
        env = tasks.make_env(1)
        try:
            return roll(env, tasks.spec, task)
        finally:
            env.close()
    except Exception as error:
        return str(error)
