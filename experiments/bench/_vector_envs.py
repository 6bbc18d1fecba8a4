"""Vector environments of gymnasium and of Stable-Baselines3, driven by the same policy as the pool."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import SubprocVecEnv

from metarl.envs.single_task_env import env_of
from metarl.errors import UserError
from metarl.experiments.bench._in_envpool import steps_per_second
from metarl.learner import ActorInput
from metarl.rl.policies import Policy
from metarl.rollout.actor import PolicyActor
from metarl.seeding import Stream, numpy_rng
from metarl.tasks import TaskDistribution
from metarl.types import Params, Task


def gymnasium_vector(tasks: TaskDistribution, drawn: Sequence[Task], strategy: str) -> Any:
    makers: list[Callable[[], gym.Env]] = [partial(env_of, tasks, task) for task in drawn]
    kind = AsyncVectorEnv if strategy == "async" else SyncVectorEnv
    return kind(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def sb3_vector(tasks: TaskDistribution, drawn: Sequence[Task]) -> Any:
    return SubprocVecEnv([partial(env_of, tasks, task) for task in drawn])


def started(name: str, make: Callable[[], Any], *, tries: int = 3) -> tuple[Any, Any]:
    """Vector envs and their first reset's answer; made anew, with a warning, where a process is lost at its start.

    Raises UserError after `tries` losses: one cause that no try gets round is a child that cannot import what the
    parent has imported, for instance mujoco under a MUJOCO_GL that does not work.
    """
    for attempt in range(1, tries + 1):
        try:
            envs = make()
            return envs, envs.reset()
        except (ConnectionError, EOFError) as error:
            lost = f"{name} lost a process at its start ({type(error).__name__}, try {attempt} of {tries})"
            if attempt == tries:
                raise UserError(f"{lost}; its own traceback is above: correct what it names") from error
            warnings.warn(f"{lost} and is started again", RuntimeWarning, stacklevel=2)
    raise AssertionError(f"tries={tries} must be >= 1")


def drive(envs: Any, first: Any, policy: Policy, phis: list[Params], *, num_steps: int) -> float:
    """Env steps/s from `started`: one env a task, one message a step, after a warm-up; the envs are closed."""
    actor = PolicyActor(policy)
    memory = actor.start(phis, 1)
    rng = numpy_rng((0, Stream.COLLECT))
    zeros = torch.zeros(len(phis))

    def act(obs: np.ndarray) -> np.ndarray:
        nonlocal memory
        noise = _noise(actor, len(phis), rng)
        inputs = ActorInput(torch.from_numpy(obs.astype(np.float32)), zeros, zeros, zeros.bool())
        with torch.no_grad():
            actions, _, memory = actor.act(memory, inputs, noise)
        return actions.numpy()

    # torch's second thread would fight with the environments' processes for the cores
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return steps_per_second(envs, first, act, num_steps=num_steps)
    finally:
        envs.close()
        torch.set_num_threads(threads)


def _noise(actor: PolicyActor, num_envs: int, rng: np.random.Generator) -> torch.Tensor:
    shape = (num_envs, actor.noise_dim)
    drawn = rng.random(shape) if actor.uniform_noise else rng.standard_normal(shape)
    return torch.from_numpy(drawn.astype(np.float32))
