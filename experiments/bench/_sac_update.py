"""Milliseconds of a gradient step of SAC by width, batch, threads and precision, and of stable-baselines3's."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from metarl.agents.plain_sac import PLAIN
from metarl.agents.sac import SAC, Draws, SACConfig
from metarl.experiments._sac import METAWORLD
from metarl.seeding import Stream, torch_rng
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=49, action_dim=4, horizon_steps=500)
"""MT10's."""


def rows(
    *, widths: Sequence[int], batches: Sequence[int], threads: Sequence[int], repeats: int, steps: int = 20
) -> list[dict[str, Any]]:
    """All that are named, in turns, so that a busy moment of the machine hits all alike; medians of `repeats`."""
    timed: dict[tuple[Any, ...], Callable[[int], None]] = {}
    for width, batch, count, precision in itertools.product(widths, batches, threads, ("float32", "bfloat16")):
        config = replace(METAWORLD, actor_hidden=(width,) * 3, critic_hidden=(width,) * 3, batch_size=batch)
        timed["metarl", width, batch, count, precision] = _ours(replace(config, precision=precision))
    for count in threads:
        timed["metarl, plain", 256, 256, count, "float32"] = _ours(PLAIN)
        timed["stable-baselines3", 256, 256, count, "float32"] = _sb3()
    seconds: dict[tuple[Any, ...], list[float]] = {name: [] for name in timed}
    before = torch.get_num_threads()
    try:
        for _ in range(repeats):
            for name, run in timed.items():
                torch.set_num_threads(name[3])
                run(3)  # warm
                started = time.perf_counter()
                run(steps)
                seconds[name].append((time.perf_counter() - started) / steps)
    finally:
        torch.set_num_threads(before)
    return [
        dict(zip(("agent", "width", "batch", "threads", "precision"), name, strict=True))
        | {"ms": 1e3 * statistics.median(values), "all_ms": [1e3 * value for value in values]}
        for name, values in seconds.items()
    ]


def _ours(config: SACConfig) -> Callable[[int], None]:
    learner = SAC(SPEC, replace(config, replay_capacity=5_000), generator=torch_rng((0, Stream.INIT)))
    for seed in range(5):
        learner.meet([TaskData(Task(str(i), {}, str(i)), (), _episode(seed)) for i in range(10)])
    rng = torch_rng((1, Stream.LEARN))

    def run(steps: int) -> None:
        draws: Draws = learner.draws()
        for _ in range(steps):
            learner.gradient_step(rng, draws)

    return run


def _episode(seed: int) -> Episodes:
    rng = torch_rng((seed, Stream.COLLECT))
    shape = (1, SPEC.horizon_steps)
    ends = torch.zeros(shape, dtype=torch.bool)
    ends[:, -1] = True
    return Episodes(
        obs=torch.randn(*shape, SPEC.obs_dim, generator=rng),
        actions=torch.rand(*shape, SPEC.action_dim, generator=rng) * 2 - 1,
        rewards=10 * torch.rand(shape, generator=rng),
        log_probs=torch.zeros(shape),
        terminated=torch.zeros_like(ends),
        truncated=ends,
        success=torch.zeros_like(ends),
        mask=torch.ones_like(ends),
        last_obs=torch.randn(1, SPEC.obs_dim, generator=rng),
    )


def _sb3() -> Callable[[int], None]:
    import stable_baselines3 as sb3
    from stable_baselines3.common.logger import Logger

    model = sb3.SAC("MlpPolicy", _Still(), buffer_size=5_000, device="cpu", seed=0)
    model.set_logger(Logger(None, []))
    rng = np.random.default_rng(0)
    assert model.replay_buffer is not None
    for _ in range(2_000):
        obs = rng.standard_normal((2, SPEC.obs_dim)).astype(np.float32)
        action = rng.uniform(-1, 1, (1, SPEC.action_dim))
        model.replay_buffer.add(obs[:1], obs[1:], action, rng.random(1), np.zeros(1), [{}])
    return lambda steps: model.train(gradient_steps=steps, batch_size=256)


class _Still(gym.Env):
    """The spaces alone."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (SPEC.obs_dim,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (SPEC.action_dim,), np.float32)
